import numpy as np
import pandas as pd
import pytest
from split_checks import (
    assert_apart,
    assert_partition,
    draw_manifest,
    read_adience,
    seen_share,
    unknown,
)

from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import OfficialFolds
from facialnet.data.published_protocols import LeviHassner, RandomImage, RandomSubject
from facialnet.errors import UserError


@pytest.fixture(scope="module")
def manifest():
    return draw_manifest()


@pytest.fixture(scope="module")
def adience(shared):
    return read_adience(shared)


def test_random_images_are_drawn_whoever_they_show(manifest):
    split = RandomImage(seed=2).split(manifest)
    assert_partition(split, range(len(manifest)))
    assert len(split.test) == round(0.2 * len(manifest))
    assert len(split.val) == round(0.1 * (len(manifest) - len(split.test)))
    learnt = np.concatenate([split.train, split.val])
    assert seen_share(manifest, split.test, learnt, "subject") > 0.8
    assert split.protocol == "random images 80/20 seed 2"


def test_every_image_is_as_likely_to_be_drawn_as_any_other():
    rows = as_manifest(pd.DataFrame({"path": [f"{number}" for number in range(10)]}))
    splits = [RandomImage(test_share=0.3, seed=seed).split(rows) for seed in range(2000)]
    for part, share in (("test", 0.3), ("val", 0.1)):  # val: 1 of the 7 others
        drawn = np.bincount(np.concatenate([getattr(split, part) for split in splits]))
        np.testing.assert_allclose(drawn / 2000, share, atol=0.05)


def test_random_people_share_albums_but_no_person(manifest):
    split = RandomSubject(seed=1).split(manifest)
    assert_partition(split, range(len(manifest)))
    assert_apart(manifest, split, ["subject"])
    for column in ("album", "photo"):
        assert seen_share(manifest, split.test, split.train, column) > 0
    assert len(split.test) / len(manifest) == pytest.approx(0.2, abs=0.02)
    share = len(split.val) / (len(split.val) + len(split.train))
    assert share == pytest.approx(0.1, abs=0.02)
    assert split.protocol == "random people seed 1"


def test_rows_without_a_person_stand_alone():
    subjects = ["a"] * 40 + ["b"] * 40 + [None] * 120
    rows = as_manifest(
        pd.DataFrame(
            {"path": [f"{n}" for n in range(200)], "subject": subjects, "album": ["one"] * 200}
        )
    )
    split = RandomSubject().split(rows)
    assert_partition(split, range(200))
    assert_apart(rows, split, ["subject"])
    assert len(split.test) == pytest.approx(40, abs=2)


def test_random_people_need_people(manifest):
    with pytest.raises(UserError, match="knows no people; use protocol=holdout"):
        RandomSubject().split(unknown(manifest, "subject"))


def test_levi_and_hassners_validation_images_show_trained_people(manifest):
    split = LeviHassner(test_fold=3).split(manifest)
    assert_partition(split, range(len(manifest)))
    np.testing.assert_array_equal(split.test, OfficialFolds(test_fold=3).split(manifest).test)
    pool = np.concatenate([split.train, split.val])
    assert len(split.val) == round(0.1 * len(pool))
    assert seen_share(manifest, split.val, split.train, "subject") > 0.8
    assert split.protocol == "levi_hassner fold 3"


def test_adiences_random_images_show_people_of_training(adience):
    """95 % of the 20 in the 80 (paper notes, section 6); fewer in what validation leaves of it."""
    split = RandomImage().split(adience)
    learnt = np.concatenate([split.train, split.val])
    assert seen_share(adience, split.test, learnt, "subject") == pytest.approx(0.95, abs=0.005)
    assert 0.93 < seen_share(adience, split.test, split.train, "subject") < 0.95


def test_adiences_random_people_are_new_but_their_albums_are_not(adience):
    split = RandomSubject().split(adience)
    assert_partition(split, range(len(adience)))
    assert_apart(adience, split, ["subject"])
    assert seen_share(adience, split.test, split.train, "album") > 0.9


def test_levi_and_hassners_validation_on_adience(adience):
    """95 % of the validation images show people of training (paper notes, section 6)."""
    split = LeviHassner().split(adience)
    assert seen_share(adience, split.val, split.train, "subject") == pytest.approx(0.95, abs=0.01)
    learnt = np.concatenate([split.train, split.val])
    for column in ("subject", "album", "photo"):
        assert seen_share(adience, split.test, learnt, column) == 0
