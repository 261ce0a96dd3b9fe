import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from tiny_checkpoint import plain_card, random_network, write_checkpoint

from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import frame
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.errors import UserError
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.labels import AGE_GROUPS
from facialnet.training.views import Mirror, Single, TenCrop

STORED = np.random.default_rng(0).integers(0, 256, (5, 38, 38, 1), np.uint8)


def network_of(tmp_path, card, **options):
    return CheckpointNetwork.read(
        write_checkpoint(tmp_path / "a.ckpt", card), device="cpu", **options
    )


@pytest.mark.parametrize(
    ("name", "views"), [("Single", Single()), ("Mirror", Mirror()), ("TenCrop", TenCrop())]
)
def test_probabilities_are_those_of_the_networks_test(tmp_path, name, views):
    """The mean of the views' probabilities, then the temperature, by the plain formulas."""
    card = plain_card(views=name)
    trained = network_of(tmp_path, card)
    network, stored = random_network(card), STORED
    if not views.margin:
        stored = preprocessing_from_plain(card["preprocess"]).network_view(stored)
    images = torch.from_numpy(stored.copy()).permute(0, 3, 1, 2)
    answers = trained.probabilities(STORED)
    assert trained.views_name == {"TenCrop": "ten_crop"}.get(name, name.lower())
    for task in card["tasks"]:
        with torch.no_grad():
            looks = [
                network.log_probabilities(network(view))[task].exp() for view in views(images, 32)
            ]
        mean = torch.stack(looks).mean(0).double().numpy()
        temperature = card["calibration"].get(task, {"temperature": 1.0})["temperature"]
        expected = np.exp(log_softmax(np.log(mean) / temperature, axis=1))
        np.testing.assert_allclose(answers[task], expected, atol=1e-5)
        np.testing.assert_allclose(answers[task].sum(1), 1)


def test_an_answer_does_not_depend_on_its_company(tmp_path):
    trained = network_of(tmp_path, plain_card())
    together = trained.probabilities(STORED)
    for row in range(len(STORED)):
        alone = trained.probabilities(STORED[row : row + 1])
        for task, values in alone.items():
            np.testing.assert_allclose(values[0], together[task][row], atol=1e-6)


def test_answers_name_the_class_and_how_sure_it_is(tmp_path):
    trained = network_of(tmp_path, plain_card())
    values = np.zeros((2, 8))
    values[1] = [0.05, 0.05, 0, 0, 0.5, 0.2, 0.1, 0.1]
    given = {"gender": np.array([[1.0, 0], [0.45, 0.55]]), "age": values, "race": np.eye(5)[:2]}
    answers = trained.answers(given, 1, 0.52)
    gender, age = answers["gender"], answers["age"]
    assert (gender.label, gender.index, gender.probability) == ("female", 1, 0.55)
    assert gender.sure
    assert not gender.ordinal
    assert gender.expected_years is None
    assert (age.label, age.index, age.sure, age.ordinal) == ("25-32", 4, False, True)
    assert age.expected_years == pytest.approx(
        0.05 * 1 + 0.05 * 5 + 0.5 * 28.5 + 0.2 * 40.5 + 0.1 * 50.5 + 0.1 * 70
    )
    assert list(age.probabilities) == list(AGE_GROUPS)
    assert answers["race"].label == "black"
    assert answers["race"].probability == 1.0


def test_a_checkpoint_of_one_task_answers_one(tmp_path):
    heads = {"age": plain_card()["model"]["heads"]["age"]}
    trained = network_of(tmp_path, plain_card(heads, calibration={}))
    assert set(trained.probabilities(STORED)) == {"age"}
    assert not trained.calibrated


def test_other_views_are_not_calibrated(tmp_path):
    card = plain_card()
    plain = network_of(tmp_path, card | {"calibration": {}})
    calibrated, mirrored = network_of(tmp_path, card), network_of(tmp_path, card, views="mirror")
    assert calibrated.calibrated is False  # race has no temperature in this card
    raw = plain.probabilities(STORED)["gender"]
    assert np.abs(calibrated.probabilities(STORED)["gender"] - raw).max() > 0.01
    both = [raw, plain.probabilities(STORED[:, :, ::-1])["gender"]]
    np.testing.assert_allclose(
        mirrored.probabilities(STORED)["gender"], np.mean(both, 0), atol=1e-5
    )


def test_a_face_is_framed_by_the_cards_layout(tmp_path):
    layout = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
    image = np.random.default_rng(1).integers(0, 256, (90, 80, 3), np.uint8)
    points = np.array(layout, np.float32) * 40 + 10
    face = Face((10.0, 10.0, 40.0, 40.0), 0.9, points)
    for given in (layout, None):
        card = plain_card(layout=given)
        trained = network_of(tmp_path, card)
        expected = frame(image, face, given, preprocessing_from_plain(card["preprocess"]))
        np.testing.assert_array_equal(trained.frame(image, face), expected)
    assert trained.view(expected).shape == (32, 32, 1)


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({}, {"views": "both"}, "views=both: allowed are single, mirror, ten_crop"),
        ({"config": {"views": {"_target_": "os.system"}}}, {}, "views that are not known"),
        ({"preprocess": {"_target_": "builtins.eval"}}, {}, r"preprocess\._target_=builtins.eval"),
    ],
)
def test_what_a_card_may_not_say(tmp_path, changes, options, reason):
    with pytest.raises(UserError, match=reason):
        network_of(tmp_path, plain_card(**changes), **options)


def test_ten_crops_need_a_margin(tmp_path):
    with pytest.raises(UserError, match="no margin to crop from"):
        network_of(tmp_path, plain_card(margin=0), views="ten_crop")


def test_a_device_that_is_not_there(tmp_path):
    path = write_checkpoint(tmp_path / "a.ckpt")
    for device in ("cuda:99", "toaster"):
        with pytest.raises(UserError, match=f"--device {device} is not there"):
            CheckpointNetwork.read(path, device=device)
