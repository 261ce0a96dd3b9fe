import numpy as np
import pandas as pd
import pytest
from split_checks import assert_apart, assert_partition, draw_manifest, same, unknown

from facialnet.data.protocol import OfficialFolds, Partition
from facialnet.errors import UserError


def parted(*names):
    """A manifest whose albums are dealt out to parts, mostly to the first."""
    manifest = draw_manifest(rows=600)
    albums = sorted(manifest["album"].unique())
    part = {
        album: names[0] if number % 5 else names[number // 5 % len(names)]
        for number, album in enumerate(albums)
    }
    return manifest.assign(part=manifest["album"].map(part).astype("str"))


def rows_of(manifest, part):
    return np.flatnonzero((manifest["part"] == part).to_numpy(bool)).tolist()


def test_three_parts_are_taken_as_they_are():
    manifest = parted("train", "val", "test")
    split = Partition().split(manifest)
    assert split.train.tolist() == rows_of(manifest, "train")
    assert split.val.tolist() == rows_of(manifest, "val")
    assert split.test.tolist() == rows_of(manifest, "test")
    assert_partition(split, range(len(manifest)))
    assert split.protocol == "own partition"
    assert same(split, Partition(seed=3, val_share=0.5).split(manifest))  # nothing is drawn


@pytest.mark.parametrize("other", ["val", "test"])
def test_validation_images_are_held_out_of_training(other):
    manifest = parted("train", other)
    split = Partition(seed=2).split(manifest)
    assert split.test.tolist() == rows_of(manifest, other)
    trained = rows_of(manifest, "train")
    assert sorted([*split.train, *split.val]) == trained
    assert len(split.val) == pytest.approx(0.1 * len(trained), rel=0.3)
    assert_apart(manifest, split, ["album", "subject", "photo"])
    assert same(split, Partition(seed=2).split(manifest))
    assert not np.array_equal(split.val, Partition(seed=3).split(manifest).val)
    ending = ", its validation part tested" if other == "val" else ""
    assert split.protocol == f"own partition{ending}"
    longer = Partition(val_share=0.3).split(manifest)
    assert longer.protocol == f"own partition{ending}, val_share 0.3"
    assert len(longer.val) > 2 * len(split.val)


def test_rows_without_a_part_are_trained_on_and_never_validated():
    for names in (("train", "val", "test"), ("train", "test")):
        manifest = parted(*names)
        manifest.loc[manifest.index % 3 == 0, "part"] = pd.NA
        without = np.flatnonzero(manifest["part"].isna())
        split = Partition().split(manifest)
        assert set(without) <= set(split.train)
        assert_partition(split, range(len(manifest)))


@pytest.mark.parametrize(
    ("names", "found"),
    [(("train",), "train"), (("val",), "val"), (("val", "test"), "test and val")],
)
def test_parts_that_cannot_be_trained_or_tested_on(names, found):
    message = f"but there is {found} alone; use protocol=holdout"
    with pytest.raises(UserError, match=message):
        Partition().split(parted(*names))


def test_no_partition_at_all():
    manifest = unknown(draw_manifest(rows=50), "part")
    with pytest.raises(UserError, match="nothing alone; use protocol=holdout"):
        Partition().split(manifest)


def test_official_folds_send_a_partitioned_data_set_here():
    manifest = parted("train", "test").assign(fold=pd.NA).astype({"fold": "Int64"})
    with pytest.raises(UserError, match="no folds; use protocol=partition or holdout"):
        OfficialFolds().split(manifest)


@pytest.mark.parametrize("share", [0, 0.9, -1])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(UserError, match=rf"protocol\.val_share={share} must lie between"):
        Partition(val_share=share)
