import numpy as np
import pandas as pd
import pytest
from split_checks import (
    assert_apart,
    assert_partition,
    draw_manifest,
    read_adience,
    same,
    unknown,
    values,
)

from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import (
    Holdout,
    KFold,
    OfficialFolds,
    WholeSet,
)
from facialnet.data.published_protocols import LeviHassner, RandomImage, RandomSubject
from facialnet.errors import UserError


@pytest.fixture(scope="module")
def manifest():
    return draw_manifest()


@pytest.fixture(scope="module")
def adience(shared):
    return read_adience(shared)


# --- official folds ------------------------------------------------------------------------------


@pytest.mark.parametrize("test_fold", range(5))
def test_the_test_fold_is_the_official_one(manifest, test_fold):
    split = OfficialFolds(test_fold=test_fold).split(manifest)
    expected = [row for row, fold in enumerate(manifest["fold"]) if fold == test_fold]
    assert split.test.tolist() == expected
    assert_partition(split, range(len(manifest)))
    assert_apart(manifest, split, ["album", "subject", "photo"])
    assert 0.07 < len(split.val) / (len(split.val) + len(split.train)) < 0.13
    assert split.protocol == f"official fold {test_fold}"


@pytest.mark.parametrize("val_share", [0.05, 0.2, 0.5])
def test_share_of_validation(manifest, val_share):
    split = OfficialFolds(val_share=val_share).split(manifest)
    share = len(split.val) / (len(split.val) + len(split.train))
    assert share == pytest.approx(val_share, abs=0.03)


@pytest.mark.parametrize("protocol", [OfficialFolds, LeviHassner])
def test_rows_without_a_fold_are_trained_on(manifest, protocol):
    partly = manifest.copy()
    partly.loc[::10, "fold"] = pd.NA
    split = protocol(test_fold=2).split(partly)
    assert_partition(split, range(len(manifest)))
    assert set(np.flatnonzero(partly["fold"].isna())) <= set(split.train)
    assert (np.diff(split.train) > 0).all()
    assert (partly["fold"].iloc[split.test] == 2).all()
    known = partly[partly["fold"].notna()]  # who is held out follows from the folds alone
    alone = protocol(test_fold=2).split(known.reset_index(drop=True))
    assert partly["path"].iloc[split.val].tolist() == known["path"].iloc[alone.val].tolist()


@pytest.mark.parametrize(
    "protocol", [OfficialFolds, LeviHassner, RandomImage, RandomSubject, Holdout, KFold]
)
def test_a_split_is_a_function_of_the_seed(manifest, protocol):
    first = protocol(seed=4).split(manifest)
    np.random.seed(1)
    assert same(first, protocol(seed=4).split(manifest.copy()))
    assert not np.array_equal(first.val, protocol(seed=5).split(manifest).val)


def test_the_seed_leaves_the_official_test_fold_alone(manifest):
    tests = [OfficialFolds(test_fold=3, seed=seed).split(manifest).test for seed in (0, 1)]
    np.testing.assert_array_equal(*tests)


def label_distance(manifest, val, pool):
    """Half the sum of differences between the shares of labels: 0 is alike, 1 disjoint."""
    labels = manifest["gender"].fillna("?") + manifest["age_group"].fillna("?")
    shares = [labels.iloc[rows].value_counts(normalize=True) for rows in (val, pool)]
    return shares[0].sub(shares[1], fill_value=0).abs().sum() / 2


def test_held_out_labels_are_more_like_the_rest_than_by_chance(manifest):
    pool = np.flatnonzero((manifest["fold"] != 0).to_numpy(bool))
    albums = manifest["album"].iloc[pool].to_numpy(str)
    chosen, by_chance = [], []
    for seed in range(12):
        split = OfficialFolds(test_fold=0, seed=seed).split(manifest)
        chosen.append(label_distance(manifest, split.val, pool))
        order = np.random.default_rng(seed).permutation(np.unique(albums))
        taken = np.isin(albums, order[: len(values(manifest, split.val, "album"))])
        by_chance.append(label_distance(manifest, pool[taken], pool))
    assert np.mean(chosen) < 0.8 * np.mean(by_chance)


def test_a_wrong_fold_lists_the_allowed_ones(manifest):
    with pytest.raises(UserError) as caught:
        OfficialFolds(test_fold=5).split(manifest)
    assert str(caught.value) == "protocol.test_fold=5: allowed values are 0, 1, 2, 3, 4"


def test_a_data_set_without_folds_is_told_what_to_use(manifest):
    without = manifest.assign(fold=pd.array([pd.NA] * len(manifest), "Int64"))
    with pytest.raises(UserError, match="no folds; use protocol=holdout"):
        OfficialFolds().split(without)


def test_one_album_cannot_be_parted(manifest):
    one = manifest.assign(album="a", fold=manifest["fold"] % 2)
    with pytest.raises(UserError, match="too few people, albums or photos to hold any out"):
        OfficialFolds().split(one)


# --- holdout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [(0.2, 0.1), (0.5, 0.2), (0.1, 0.3)])
@pytest.mark.parametrize("seed", range(3))
def test_holdout_parts_no_person(manifest, shares, seed):
    test_share, val_share = shares
    split = Holdout(test_share=test_share, val_share=val_share, seed=seed).split(manifest)
    assert_partition(split, range(len(manifest)))
    assert_apart(manifest, split, ["subject"])
    assert len(split.test) / len(manifest) == pytest.approx(test_share, abs=0.02)
    assert len(split.val) / len(manifest) == pytest.approx(val_share, abs=0.02)
    assert split.protocol.startswith(f"holdout seed {seed}")


def test_holdout_parts_no_photo_where_people_are_unknown(manifest):
    nobody = unknown(manifest, "subject", "album")
    split = Holdout().split(nobody)
    assert_partition(split, range(len(nobody)))
    assert_apart(nobody, split, ["photo"])
    assert len(split.test) / len(nobody) == pytest.approx(0.2, abs=0.02)


def test_holdout_of_rows_about_which_nothing_is_known(manifest):
    bare = unknown(manifest, "subject", "album", "photo")
    split = Holdout().split(bare)
    assert_partition(split, range(len(bare)))
    assert len(split.test) == pytest.approx(0.2 * len(bare), abs=1)


def test_holdout_needs_no_folds_and_no_labels(manifest):
    bare = unknown(manifest, "gender", "age_group").assign(
        fold=pd.array([pd.NA] * len(manifest), "Int64")
    )
    assert_partition(Holdout().split(bare), range(len(bare)))


def test_three_people_are_enough_two_are_not():
    rows = pd.DataFrame({"path": list("abcdef"), "subject": list("uuvvww")})
    assert_partition(Holdout().split(as_manifest(rows)), range(6))
    with pytest.raises(UserError, match="too few people"):
        Holdout().split(as_manifest(rows[:4]))


def test_holdout_parts_no_file_content_and_no_lookalikes(manifest):
    nobody = unknown(manifest, "subject", "album", "photo")
    number = np.random.default_rng(0).permutation(len(nobody))
    nobody["content"] = [f"c{n // 2}" if n < 600 else f"alone{n}" for n in number]
    nobody["lookalike"] = pd.array(
        [f"g{n % 50}" if n % 7 == 0 else pd.NA for n in number], dtype="str"
    )
    split = Holdout().split(nobody)
    assert_partition(split, range(len(nobody)))
    assert_apart(nobody, split, ["content", "lookalike"])
    without = Holdout().split(nobody.drop(columns=["content", "lookalike"]))
    with pytest.raises(AssertionError):  # so the columns did it
        assert_apart(nobody, without, ["content", "lookalike"])


# --- protocols alike ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "name"), [(LeviHassner, "levi_hassner"), (OfficialFolds, "official")]
)
def test_official_folds_are_needed(manifest, protocol, name):
    without = manifest.assign(fold=pd.array([pd.NA] * len(manifest), "Int64"))
    with pytest.raises(UserError, match=f"protocol={name}: this data set has no folds"):
        protocol().split(without)
    with pytest.raises(UserError, match=r"protocol\.test_fold=7: allowed values are 0, 1, 2, 3, 4"):
        protocol(test_fold=7).split(manifest)


@pytest.mark.parametrize("rows", [0, 1])
def test_no_images_to_part(rows):
    few = as_manifest(pd.DataFrame({"path": ["a"] * rows}, dtype="str"))
    for protocol in (RandomImage(), Holdout(), KFold()):
        with pytest.raises(UserError, match=r"^protocol.*too few"):
            protocol.split(few)


# --- all images ----------------------------------------------------------------------------------


def test_the_whole_set_is_test(manifest):
    split = WholeSet().split(manifest)
    assert split.test.tolist() == list(range(len(manifest)))
    assert len(split.train) == len(split.val) == 0
    assert split.train.dtype == split.val.dtype == split.test.dtype == np.int64
    assert split.protocol == "all images"


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "name"),
    [
        (OfficialFolds(val_share=0.2), "official fold 0, val_share 0.2"),
        (LeviHassner(val_share=0.2, seed=9), "levi_hassner fold 0, val_share 0.2"),
        (RandomImage(test_share=0.25), "random images 75/25 seed 0"),
        (RandomImage(test_share=0.3, val_share=0.05), "random images 70/30 seed 0, val_share 0.05"),
        (RandomSubject(test_share=0.3), "random people seed 0, test_share 0.3"),
        (Holdout(test_share=0.3, val_share=0.2), "holdout seed 0, test_share 0.3, val_share 0.2"),
        (KFold(folds=3, test_fold=2, val_share=0.2), "3-fold 2 seed 0, val_share 0.2"),
    ],
)
def test_the_name_tells_settings_that_are_not_the_usual_ones(manifest, protocol, name):
    assert protocol.split(manifest).protocol == name


@pytest.mark.parametrize("share", [0, 0.9, -0.1, 1.5, float("nan")])
def test_impossible_shares_are_refused(share):
    message = rf"protocol\.val_share={share} must lie between 0 and 0\.9"
    for protocol in (OfficialFolds, LeviHassner, RandomImage, RandomSubject, Holdout, KFold):
        with pytest.raises(UserError, match=message):
            protocol(val_share=share)
    for protocol in (RandomImage, RandomSubject, Holdout):
        with pytest.raises(UserError, match=r"protocol\.test_share"):
            protocol(test_share=share)


@pytest.mark.parametrize(("test_share", "val_share"), [(0.5, 0.5), (0.8, 0.4)])
def test_shares_that_leave_nothing_to_train_on_are_refused(test_share, val_share):
    with pytest.raises(UserError, match=r"leave nothing to train on"):
        Holdout(test_share=test_share, val_share=val_share)


@pytest.mark.parametrize("test_fold", range(5))
def test_adiences_official_folds_share_nothing(adience, test_fold):
    split = OfficialFolds(test_fold=test_fold).split(adience)
    assert_partition(split, range(len(adience)))
    assert_apart(adience, split, ["album", "subject", "photo"])
    assert (adience["fold"].iloc[split.test] == test_fold).all()
    pool = np.concatenate([split.train, split.val])
    assert len(split.val) / len(pool) == pytest.approx(0.1, abs=0.03)
    assert label_distance(adience, split.val, pool) < 0.25  # no class is missing
