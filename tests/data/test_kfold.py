import numpy as np
import pandas as pd
import pytest
from split_checks import assert_apart, assert_partition, draw_manifest, read_adience, unknown

from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import KFold
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS


@pytest.fixture(scope="module")
def manifest():
    return draw_manifest()


@pytest.mark.parametrize("folds", [2, 5])
def test_every_row_is_tested_exactly_once_over_the_folds(manifest, folds):
    splits = [KFold(folds=folds, test_fold=fold, seed=3).split(manifest) for fold in range(folds)]
    for fold, split in enumerate(splits):
        assert_partition(split, range(len(manifest)))
        assert_apart(manifest, split, ["subject", "album", "photo"])
        assert len(split.test) / len(manifest) == pytest.approx(1 / folds, abs=0.05)
        share = len(split.val) / (len(split.val) + len(split.train))
        assert share == pytest.approx(0.1, abs=0.03)
        assert split.protocol == f"{folds}-fold {fold} seed 3"
    together = np.concatenate([split.test for split in splits])
    assert sorted(together) == list(range(len(manifest)))


def test_folds_spread_the_labels_as_evenly_as_whole_groups_allow(manifest):
    nobody = unknown(manifest, "subject", "album", "photo")
    labels = nobody["gender"].fillna("?") + nobody["age_group"]
    expected = labels.value_counts() / 5
    for fold in range(5):
        counts = labels.iloc[KFold(test_fold=fold).split(nobody).test].value_counts()
        assert counts.sub(expected, fill_value=0).abs().max() <= 2


def test_too_many_folds_are_refused():
    rows = pd.DataFrame({"path": list("abcdef"), "subject": list("uuvvww")})
    message = r"protocol\.folds=4: too few people or images for so many folds; choose fewer"
    with pytest.raises(UserError, match=message):
        KFold(folds=4).split(as_manifest(rows))
    assert_partition(KFold(folds=3).split(as_manifest(rows)), range(6))


def test_more_folds_than_images_of_any_label_are_refused():
    groups = AGE_GROUPS[:6]
    rows = pd.DataFrame({"path": list("abcdef"), "age_group": groups})
    with pytest.raises(UserError, match=r"protocol\.folds=3: too few"):
        KFold(folds=3).split(as_manifest(rows))


@pytest.mark.parametrize("test_fold", [-1, 5, 2.5])
def test_a_fold_that_is_not_made_is_refused_at_once(test_fold):
    message = rf"protocol\.test_fold={test_fold}: allowed values are 0, 1, 2, 3, 4$"
    with pytest.raises(UserError, match=message):
        KFold(test_fold=test_fold)
    with pytest.raises(UserError, match=r"protocol\.folds=1 must be at least 2"):
        KFold(folds=1)


def test_five_folds_of_adience(shared):
    adience = read_adience(shared)
    split = KFold(test_fold=1).split(adience)
    assert_partition(split, range(len(adience)))
    assert_apart(adience, split, ["album", "subject", "photo"])
