import pandas as pd
import pytest

from facialnet.data.manifest import (
    COLUMNS,
    CROP,
    FINGERPRINTS,
    LANDMARKS,
    as_manifest,
    manifest_hash,
    read_manifest,
    write_manifest,
)
from facialnet.errors import UserError


def rows(**columns):
    return pd.DataFrame({"path": ["a.jpg", "b/c.jpg"], **columns})


def error_of(frame):
    with pytest.raises(UserError) as caught:
        as_manifest(frame)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_absent_columns_become_missing_values():
    table = as_manifest(rows(gender=["male", None]))
    assert list(table.columns) == list(COLUMNS)
    assert table["gender"].tolist()[0] == "male"
    assert table["gender"].isna().tolist() == [False, True]
    assert table[[name for name in COLUMNS if name not in ("path", "gender")]].isna().all(axis=None)


def test_missing_values_are_never_text():
    table = as_manifest(rows(subject=[None, "7"], album=[pd.NA, "x"], photo=[float("nan"), "y"]))
    for name in ("subject", "album", "photo"):
        assert table[name].isna().tolist() == [True, False]


def test_whole_numbers_stay_whole_beside_missing_ones():
    table = as_manifest(rows(age_years=[30, None], fold=[None, 4]))
    assert table["age_years"][0] == 30
    assert str(table["age_years"].dtype) == str(table["fold"].dtype) == "Int64"
    assert table["fold"][1] == 4


def test_column_order_and_index_of_the_input_do_not_matter():
    frame = rows(race=["asian", "white"], gender=["male", "female"])
    shuffled = frame[["gender", "path", "race"]].set_axis([5, 9])
    pd.testing.assert_frame_equal(as_manifest(frame), as_manifest(shuffled))


def test_the_input_is_left_alone():
    frame = rows(gender=["male", None])
    before = frame.copy(deep=True)
    as_manifest(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_a_table_without_rows_is_allowed():
    assert list(as_manifest(rows()[:0]).columns) == list(COLUMNS)


def test_unknown_column_is_named():
    message = error_of(rows(sex=["male", "male"]))
    assert "'sex'" in message
    assert "gender" in message


def test_path_column_is_needed():
    assert "'path' is missing" in error_of(pd.DataFrame({"gender": ["male"]}))


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("gender", "Female", "male, female"),
        ("age_group", "8-12", "8-13"),
        ("race", "", "indian"),
        ("part", "dev", "train, val, test"),
    ],
)
def test_unknown_label_is_named_with_its_picture(column, value, allowed):
    message = error_of(rows(**{column: [None, value]}))
    assert f"unknown {column} {value!r} for b/c.jpg" in message
    assert allowed in message


@pytest.mark.parametrize("crop", [0, -0.1, 1.01, float("inf")])
def test_a_crop_is_a_share(crop):
    assert f"crop {crop:g} for b/c.jpg must lie in (0, 1]" in error_of(rows(crop=[1, crop]))


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "a/..", None])
def test_paths_must_be_given_and_stay_inside(path):
    message = error_of(pd.DataFrame({"path": ["good.jpg", path]}))
    assert "stay inside the data set's root" in message


@pytest.mark.parametrize("path", ["..a.jpg", "a..b/c.jpg", "a/...jpg"])
def test_dots_in_names_are_no_parent_folders(path):
    assert as_manifest(pd.DataFrame({"path": [path]}))["path"].tolist() == [path]


def test_a_written_manifest_reads_back_the_same(tmp_path):
    optional = {name: [1.5, None] for name in LANDMARKS} | {CROP: [0.5, None]}
    optional |= {name: ["ab", None] for name in (*FINGERPRINTS, "dropped")}
    table = as_manifest(rows(gender=["male", None], fold=[0, None], **optional))
    assert set(table.columns) == {*COLUMNS, *optional}
    assert table["lookalike"].isna().tolist() == [False, True]
    write_manifest(table, tmp_path / "manifest.parquet")
    again = read_manifest(tmp_path / "manifest.parquet")
    pd.testing.assert_frame_equal(again, table)
    assert manifest_hash(again) == manifest_hash(table)


def test_hash_sees_every_value_and_the_order_of_rows():
    table = as_manifest(rows(gender=["male", "female"], age_years=[1, 2]))
    others = [
        table[::-1],
        table[:1],
        as_manifest(rows(gender=["male", "male"], age_years=[1, 2])),
        as_manifest(rows(gender=["male", "female"], age_years=[1, None])),
        as_manifest(rows(gender=["male", "female"], age_years=[1, 2], part=[None, "val"])),
        as_manifest(rows(gender=["male", "female"], age_years=[1, 2], crop=[0.5, None])),
    ]
    hashes = {manifest_hash(other) for other in [table, *others]}
    assert len(hashes) == 7


def test_hash_is_the_same_on_every_machine_and_version():
    # The value is written down: caches and checkpoints of another machine are found by it. It is
    # from the time before there were parts.
    table = as_manifest(rows(gender=["male", None], fold=[3, None]))
    text = (
        "path,source,subject,album,photo,fold,gender,age_group,age_years,race\n"
        "a.jpg,,,,,3,male,,,\n"
        "b/c.jpg,,,,,,,,,\n"
    )
    assert table.drop(columns="part").to_csv(index=False, lineterminator="\n") == text
    assert manifest_hash(table) == "dc0d39ce47ffc084ead5b96bac8b8961"
