"""The graph that is exported gives the answers of evaluation: views averaged, then calibrated."""

import numpy as np
import pytest
import torch
from tiny_checkpoint import EVERY_CODING, plain_card, ready, smooth_pictures

from facialnet.evaluation.calibration import tempered
from facialnet.training.views import TenCrop


@pytest.mark.parametrize("views", ["Single", "Mirror", "TenCrop"])
def test_it_answers_as_a_test_does(tmp_path, views):
    card = plain_card(EVERY_CODING, views=views)
    subject = ready(tmp_path / "tiny.ckpt", card)
    side = 38 if views == "TenCrop" else 32
    assert subject.input_shape == (1, side, side)
    images = torch.from_numpy(smooth_pictures(6, subject.input_shape))
    with torch.no_grad():
        ours = subject.network(images)
    network = subject.checkpoint.network()
    looks = {
        "Single": [images],
        "Mirror": [images, images.flip(3)],
        "TenCrop": TenCrop()(images, 32),
    }[views]
    temperatures = {"gender": 0.5, "age": 2.0}
    assert list(ours) == list(EVERY_CODING)
    for task, values in ours.items():
        with torch.no_grad():
            mean = torch.stack(
                [network.log_probabilities(network(look))[task].exp() for look in looks]
            ).mean(0)
        expected = tempered(mean.numpy(), temperatures.get(task, 1.0))
        np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=2e-6)
        assert values.std() > 0.05


def test_the_metadata_say_what_a_program_needs(tmp_path):
    init = {"file": "/home/me/x.ckpt", "data": [{"name": "celeba", "licence": "research"}]}
    layout = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
    card = plain_card(
        EVERY_CODING, views="TenCrop", layout=layout, init=init, stamp="people are shared"
    )
    about = ready(tmp_path / "tiny.ckpt", card).metadata
    gender = {"column": "gender", "classes": ["male", "female"], "ordinal": False}
    assert about["tasks"]["gender"] == gender
    assert about["tasks"]["age_corn"]["ordinal"] is True
    assert about["preprocess"] == card["preprocess"]
    assert about["calibration"] == card["calibration"]
    assert (about["layout"], about["stamp"]) == (layout, "people are shared")
    assert about["data"] == {"name": "drawn", "licence": "MIT"}
    assert about["init"] == {"data": init["data"], "stamp": None}
    assert about["views"]["name"] == "TenCrop"
    assert about["input"] == {"shape": [1, 38, 38], "margin": 3}
    assert about["checkpoint"] == "tiny.ckpt"
