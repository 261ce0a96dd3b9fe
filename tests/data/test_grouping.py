import numpy as np
import pandas as pd
import pytest

from facialnet.data.grouping import groups, held_out, part_groups, part_images, strata
from facialnet.data.manifest import as_manifest
from facialnet.errors import UserError


def table(**columns):
    count = len(next(iter(columns.values())))
    return as_manifest(pd.DataFrame({"path": [f"{row}.jpg" for row in range(count)], **columns}))


def together(numbers):
    """Sets of rows with one number."""
    return {tuple(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)}


def test_rows_are_joined_also_by_way_of_other_rows():
    manifest = table(
        subject=["1", "1", None, None, "2", None],
        album=[None, "a", "a", None, None, None],
        photo=[None, None, "p", "p", None, None],
    )
    numbers = groups(manifest)
    assert numbers.dtype == np.int64
    assert together(numbers) == {(0, 1, 2, 3), (4,), (5,)}


@pytest.mark.parametrize("column", ["subject", "album", "photo", "content", "lookalike"])
def test_each_kinship_joins_and_a_missing_value_does_not(column):
    assert together(groups(table(**{column: ["x", None, "x", None]}))) == {(0, 2), (1,), (3,)}


def test_one_name_in_two_columns_joins_nothing():
    assert together(groups(table(subject=["x", None], album=[None, "x"]))) == {(0,), (1,)}


def test_names_count_within_their_data_set_and_content_everywhere():
    both = ["utkface", "lfw"]
    for column in ("subject", "album", "photo"):
        assert len(together(groups(table(source=both, **{column: ["7", "7"]})))) == 2
    for column in ("content", "lookalike"):
        assert len(together(groups(table(source=both, **{column: ["7", "7"]})))) == 1


def test_only_the_kinship_that_is_asked_for_counts():
    manifest = table(subject=["1", "1", "2"], album=["a", "a", "a"])
    assert together(groups(manifest, ["subject"])) == {(0, 1), (2,)}


def test_nothing_known_and_no_rows():
    assert groups(table(gender=["male"] * 3)).tolist() == [0, 1, 2]
    assert groups(table(gender=["male"]).iloc[:0]).tolist() == []


def test_strata_number_the_combinations_of_labels():
    manifest = table(
        gender=["male", "female", "male", None, None],
        age_group=["0-2", "0-2", "0-2", "0-2", None],
    )
    numbers = strata(manifest)
    assert numbers[0] == numbers[2]
    assert len(set(numbers.tolist())) == 4


def test_held_out_takes_whole_groups_of_about_the_share():
    numbers = np.repeat(np.arange(200), 5)
    labels = np.random.default_rng(0).integers(0, 4, 1000)
    held = held_out(numbers, labels, 0.3, seed=1)
    assert held.dtype == bool
    assert held.sum() == pytest.approx(300, abs=5)
    assert set(numbers[held]).isdisjoint(numbers[~held])


def test_held_out_leaves_a_group_on_each_side():
    held = held_out(np.array([3, 3, 3, 8]), np.zeros(4, np.int64), 0.8, seed=0)
    assert 0 < held.sum() < 4
    for count in (0, 1):
        with pytest.raises(UserError, match="too few people"):
            held_out(np.zeros(count, np.int64), np.zeros(count, np.int64), 0.5, seed=0)


def test_part_groups_returns_rows_of_the_whole_manifest():
    manifest = table(subject=list("aabbccddee"))
    rows = np.arange(2, 10)
    kept, held = part_groups(manifest, rows, 0.25, seed=0)
    assert sorted([*kept, *held]) == rows.tolist()
    assert len(held) == 2
    assert manifest["subject"].iloc[held].nunique() == 1


def test_part_images_takes_the_share_and_keeps_the_order():
    rows = np.arange(100, 200)
    kept, held = part_images(rows, 0.13, seed=5)
    assert len(held) == 13
    assert sorted([*kept, *held]) == rows.tolist()
    assert np.all(np.diff(kept) > 0)
    assert np.all(np.diff(held) > 0)
    assert held.tolist() == part_images(rows, 0.13, seed=5)[1].tolist()
    assert held.tolist() != part_images(rows, 0.13, seed=6)[1].tolist()


def test_part_images_leaves_one_on_each_side():
    for share in (0.01, 0.99):
        kept, held = part_images(np.array([4, 9]), share, seed=0)
        assert len(kept) == len(held) == 1
    with pytest.raises(UserError, match="too few images"):
        part_images(np.array([4]), 0.5, seed=0)
