import numpy as np
import pandas as pd
import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import Holdout, OfficialFolds, Split, shared_groups
from facialnet.data.sources.adience import AdienceSource
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS


def draw_manifest(rows=1500, seed=0, folds=5):
    """Albums of uneven size, each of few people whose labels are alike, in five folds."""
    draw = np.random.default_rng(seed)
    table, subject = [], 0
    album = 0
    while len(table) < rows:
        fold = album % folds
        for _ in range(draw.integers(1, 4)):
            subject += 1
            gender = draw.choice(["male", "female"])
            group = draw.choice(AGE_GROUPS, p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
            for _ in range(draw.integers(1, 12)):
                label = gender if draw.random() < 0.9 else None
                photo = f"{album}/{draw.integers(0, 30)}"
                table.append((f"s{subject}", f"a{album}", photo, fold, label, group))
        album += 1
    frame = pd.DataFrame(
        table, columns=["subject", "album", "photo", "fold", "gender", "age_group"]
    )
    frame["path"] = [f"{number}.jpg" for number in range(len(frame))]
    return as_manifest(frame.sample(frac=1, random_state=seed))


@pytest.fixture(scope="module")
def manifest():
    return draw_manifest()


@pytest.fixture(scope="module")
def adience(shared):
    reading = AdienceSource(root=str(shared / "data" / "adience")).read()
    kept = reading.rows[reading.rows["dropped"].isna()]
    return as_manifest(kept.drop(columns="dropped"))


def parts_of(split):
    return {"train": split.train, "val": split.val, "test": split.test}


def values(manifest, rows, column):
    return set(manifest[column].iloc[rows].dropna())


def same(first, second):
    return all(
        np.array_equal(a, b)
        for a, b in zip(parts_of(first).values(), parts_of(second).values(), strict=True)
    )


def assert_partition(split, rows):
    together = np.concatenate(list(parts_of(split).values()))
    assert sorted(together) == sorted(rows)
    for part in parts_of(split).values():
        assert part.dtype == np.int64
        assert len(part) > 0


def assert_apart(manifest, split, columns):
    parts = list(parts_of(split).values())
    for column in columns:
        seen = [values(manifest, part, column) for part in parts]
        assert seen[0].isdisjoint(seen[1]), column
        assert seen[0].isdisjoint(seen[2]), column
        assert seen[1].isdisjoint(seen[2]), column


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


def test_rows_without_a_fold_are_left_out(manifest):
    partly = manifest.copy()
    partly.loc[::10, "fold"] = pd.NA
    split = OfficialFolds(test_fold=2).split(partly)
    known = np.flatnonzero(partly["fold"].notna().to_numpy(bool))
    assert_partition(split, known)
    assert (partly["fold"].iloc[split.test] == 2).all()


@pytest.mark.parametrize("protocol", [OfficialFolds, Holdout])
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


def unknown(manifest, *columns):
    return manifest.assign(**dict.fromkeys(columns, pd.NA)).astype(dict.fromkeys(columns, "str"))


@pytest.mark.parametrize("shares", [(0.2, 0.1), (0.5, 0.2), (0.1, 0.3)])
@pytest.mark.parametrize("seed", range(3))
def test_holdout_parts_no_person(manifest, shares, seed):
    test_share, val_share = shares
    split = Holdout(test_share=test_share, val_share=val_share, seed=seed).split(manifest)
    assert_partition(split, range(len(manifest)))
    assert_apart(manifest, split, ["subject"])
    assert len(split.test) / len(manifest) == pytest.approx(test_share, abs=0.02)
    assert len(split.val) / len(manifest) == pytest.approx(val_share, abs=0.02)
    assert split.protocol == f"holdout seed {seed}"


def test_holdout_parts_no_photo_where_people_are_unknown(manifest):
    nobody = unknown(manifest, "subject", "album")
    split = Holdout().split(nobody)
    assert_partition(split, range(len(nobody)))
    assert_apart(nobody, split, ["photo"])
    assert shared_groups(nobody, split) == {"photo": 0}
    assert len(split.test) / len(nobody) == pytest.approx(0.2, abs=0.02)


def test_holdout_of_rows_about_which_nothing_is_known(manifest):
    bare = unknown(manifest, "subject", "album", "photo")
    split = Holdout().split(bare)
    assert_partition(split, range(len(bare)))
    assert len(split.test) == pytest.approx(0.2 * len(bare), abs=1)
    assert shared_groups(bare, split) == {}


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


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.9, -0.1, 1.5, float("nan")])
def test_impossible_shares_are_refused(share):
    message = rf"protocol\.val_share={share} must lie between 0 and 0\.9"
    for protocol in (OfficialFolds, Holdout):
        with pytest.raises(UserError, match=message):
            protocol(val_share=share)
    with pytest.raises(UserError, match=r"protocol\.test_share"):
        Holdout(test_share=share)


@pytest.mark.parametrize(("test_share", "val_share"), [(0.5, 0.5), (0.8, 0.4)])
def test_shares_that_leave_nothing_to_train_on_are_refused(test_share, val_share):
    with pytest.raises(UserError, match=r"leave nothing to train on"):
        Holdout(test_share=test_share, val_share=val_share)


# --- leaks ---------------------------------------------------------------------------------------


def test_planted_leaks_are_counted():
    rows = as_manifest(
        pd.DataFrame(
            {
                "path": list("abcdefgh"),
                "subject": ["1", "2", "3", "4", "1", "9", None, "3"],
                "album": [None] * 8,
                "photo": ["p", "q", "r", None, "s", "q", None, "r"],
            }
        )
    )
    split = Split(np.array([0, 1]), np.array([2, 3]), np.array([4, 5, 6, 7]), "by hand")
    # test rows: e shares person 1, f photo q, g nothing (unknown is not equal), h 3 and r
    assert shared_groups(rows, split) == {"subject": 2, "photo": 2}


def test_a_random_split_of_rows_leaks(manifest):
    order = np.random.default_rng(0).permutation(len(manifest))
    shared = shared_groups(manifest, Split(order[:1000], order[1000:1200], order[1200:], "rows"))
    assert min(shared.values()) > 50


@pytest.mark.parametrize("test_fold", range(5))
def test_adiences_official_folds_share_nothing(adience, test_fold):
    split = OfficialFolds(test_fold=test_fold).split(adience)
    assert_partition(split, range(len(adience)))
    assert shared_groups(adience, split) == {"subject": 0, "album": 0, "photo": 0}
    assert_apart(adience, split, ["album", "subject", "photo"])
    assert (adience["fold"].iloc[split.test] == test_fold).all()
    pool = np.concatenate([split.train, split.val])
    assert len(split.val) / len(pool) == pytest.approx(0.1, abs=0.03)
    assert label_distance(adience, split.val, pool) < 0.25  # no class is missing
