import numpy as np
import pytest

from facialnet.evaluation.audit.quick_classifier import out_of_fold, picture_features


@pytest.fixture(scope="module")
def pictures():
    """Stripes, upright for class 0 and level for class 1, of random phase and brightness."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 120)
    waves = np.sin(np.arange(40) / 3 + rng.uniform(0, 6, (120, 1)))
    upright = np.broadcast_to(waves[:, None, :], (120, 40, 40))
    faces = np.where(labels[:, None, None] == 0, upright, upright.transpose(0, 2, 1))
    light = rng.uniform(60, 180, (120, 1, 1))
    noise = rng.normal(0, 10, faces.shape)
    return np.clip(light + 50 * faces + noise, 0, 255).astype(np.uint8)[..., None], labels


def test_features_tell_directions_apart_under_any_light(pictures):
    faces, labels = pictures
    features = picture_features(lambda rows: faces[rows], len(faces))
    assert features.shape == (120, 60)
    assert np.mean(features**2) == pytest.approx(1)
    answers = out_of_fold(features, labels, np.arange(120))
    assert (answers.argmax(1) == labels).mean() > 0.95
    np.testing.assert_allclose(answers.sum(1), 1)


def test_colour_pictures_have_the_features_of_their_mean(pictures):
    faces, _ = pictures
    colour = np.repeat(faces, 3, axis=3)
    np.testing.assert_allclose(
        picture_features(lambda rows: colour[rows], 120),
        picture_features(lambda rows: faces[rows], 120),
        atol=1e-4,
    )


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_empty_pictures_do_not_break_anything():
    black = np.zeros((20, 30, 30, 1), np.uint8)
    assert np.isfinite(picture_features(lambda rows: black[rows], 20)).all()


def test_no_picture_is_judged_by_others_of_its_group():
    """Features name the group and labels belong to groups, so only a leak can do well."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 8)
    labels = rng.permutation(np.arange(40) % 2)[groups]
    features = rng.normal(size=(40, 60))[groups] + rng.normal(0, 0.1, (320, 60))
    alone = out_of_fold(features, labels, np.arange(320))
    grouped = out_of_fold(features, labels, groups)
    assert (alone.argmax(1) == labels).mean() > 0.95
    assert (grouped.argmax(1) == labels).mean() < 0.75


def test_a_class_that_training_hardly_holds_is_not_judged():
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 20 + [2] * 4)
    groups = np.array([*range(40), *[40] * 4])  # all pictures of class 2 are of one person
    answers = out_of_fold(rng.normal(size=(44, 5)), labels, groups)
    assert np.isnan(answers[40:]).all()
    np.testing.assert_allclose(answers[:40].sum(1), 1)


def test_the_same_seed_gives_the_same_answers(pictures):
    faces, labels = pictures
    features = picture_features(lambda rows: faces[rows], 120)
    first, second = (out_of_fold(features, labels, np.arange(120)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
