import numpy as np
import pytest

from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.data.transforms import AlignFivePoints, CentreCrop, Preprocessing
from facialnet.errors import UserError

SPEC = {
    "_target_": "facialnet.data.transforms.Preprocessing",
    "size": 32,
    "margin": 3,
    "channels": 1,
    "steps": {
        "align": {"_target_": "facialnet.data.transforms.AlignFivePoints", "zoom": 0.9},
        "crop": {"_target_": "facialnet.data.transforms.CentreCrop", "share": 0.7},
        "none": None,
    },
}


def test_it_does_what_the_objects_themselves_do():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    steps = {"align": AlignFivePoints(zoom=0.9), "crop": CentreCrop(share=0.7)}
    by_hand = Preprocessing(size=32, margin=3, channels=1, steps=steps)
    points = np.array([[40, 30], [70, 30], [55, 45], [45, 60], [65, 60]], np.float32)
    for where in (None, points):
        built = preprocessing_from_plain(SPEC)(image, where)
        np.testing.assert_array_equal(built, by_hand(image, where))
    assert preprocessing_from_plain(SPEC).decoded_side == by_hand.decoded_side


def test_steps_of_albumentations_are_allowed():
    step = {"_target_": "albumentations.HorizontalFlip", "p": 1.0}
    plain = preprocessing_from_plain({**SPEC, "steps": {}})
    flipped = preprocessing_from_plain({**SPEC, "steps": {"flip": step}})
    image = np.arange(38 * 38, dtype=np.uint16).reshape(38, 38).astype(np.uint8)
    np.testing.assert_array_equal(flipped(image), plain(image)[:, ::-1])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_target_": "os.system"}, "expected facialnet.data.transforms.Preprocessing"),
        ({"colour": 3}, "preprocess: .*colour"),
        ({"steps": {"a": {"_target_": "os.system", "command": "x"}}}, "only transforms of"),
        ({"steps": {"a": {"_target_": "facialnet.data.transforms.math"}}}, "is not a transform"),
        ({"steps": {"a": {"_target_": "albumentations.Compose"}}}, "is not a transform"),
        ({"steps": {"a": {"_target_": "albumentations.nothing"}}}, "is not a transform"),
        (
            {"steps": {"a": {"_target_": "facialnet.data.transforms.CentreCrop", "part": 1}}},
            r"preprocess\.steps\.a: .*part",
        ),
    ],
)
def test_settings_that_would_run_something_else_are_refused(changes, reason):
    with pytest.raises(UserError, match=reason):
        preprocessing_from_plain({**SPEC, **changes})
