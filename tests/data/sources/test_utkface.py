import hashlib
from bisect import bisect
from collections import defaultdict

import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.utkface import UTKFaceSource
from facialnet.errors import UserError

STAMP = "20170110183726390"


def write(folder, **contents):
    """Write files named age_gender_race (given as keywords a30_1_2) with the given bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (labels, content) in enumerate(contents.items()):
        (folder / f"{labels[1:]}_{STAMP}{number}.jpg.chip.jpg").write_bytes(content)


def read(folder, **options):
    return UTKFaceSource(root=str(folder), **options).read()


def by_age(reading):
    """Return the rows by the first number in their names."""
    rows = reading.rows
    return rows.set_index(rows["path"].str.split("_").str[0])


def error_of(folder, **options):
    with pytest.raises(UserError) as caught:
        read(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_name_becomes_a_row_of_the_manifest(tmp_path):
    write(tmp_path, a30_1_2=b"x")
    reading = read(tmp_path)
    row = reading.rows.iloc[0]
    assert row["path"] == f"30_1_2_{STAMP}0.jpg.chip.jpg"
    assert (row["source"], row["gender"], row["race"]) == ("utkface", "female", "asian")
    assert (row["age_group"], row["age_years"]) == ("25-32", 30)
    assert row["photo"] == hashlib.blake2b(b"x", digest_size=16).hexdigest()
    assert row[["subject", "album", "fold", "dropped"]].isna().all()
    assert (reading.root, reading.name, reading.duplicates) == (tmp_path, "utkface", 0)
    assert reading.notes == []
    assert reading.licence == "non-commercial research only"
    as_manifest(reading.rows)


@pytest.mark.parametrize("digit", range(5))
def test_races_and_genders_by_number(tmp_path, digit):
    write(tmp_path, **{f"a1_{digit % 2}_{digit}": b"x"})
    row = read(tmp_path).rows.iloc[0]
    assert row["race"] == ["white", "black", "asian", "indian", "other"][digit]
    assert row["gender"] == ["male", "female"][digit % 2]


@pytest.mark.parametrize("end", [".jpg", ".jpg.chip.jpg", " .jpg.chip.jpg"])
def test_ends_of_names(tmp_path, end):
    (tmp_path / f"116_0_0_{STAMP}{end}").write_bytes(b"x")
    row = read(tmp_path).rows.iloc[0]
    assert row["age_years"] == 116
    assert row["age_group"] == "60+"


def test_policy_decides_on_ages_between_groups(tmp_path):
    write(tmp_path, a35_0_0=b"x")
    nearest, exact = (
        read(tmp_path, label_policy=policy).rows.iloc[0] for policy in ("nearest", "exact")
    )
    assert nearest["age_group"] == "25-32"
    assert exact[["age_group", "dropped"]].isna().all()  # gender and race are labels too
    assert nearest["age_years"] == exact["age_years"] == 35


@pytest.mark.parametrize(
    "name",
    [
        f"61_1_{STAMP}.jpg.chip.jpg",  # the two defects of the real data
        f"61_3_{STAMP}.jpg.chip.jpg",
        f"117_0_0_{STAMP}.jpg",
        f"1000_0_0_{STAMP}.jpg",
        f"-1_0_0_{STAMP}.jpg",
        f"30_2_0_{STAMP}.jpg",
        f"30_0_5_{STAMP}.jpg",
        f"30__0_{STAMP}.jpg",
        f"30_0_0_1_{STAMP}.jpg",
        f"old_0_0_{STAMP}.jpg",
        f"30.5_0_0_{STAMP}.jpg",
        f"._30_0_0_{STAMP}.jpg",
        "30_0_0.jpg",
        "portrait.jpg",
    ],
)
def test_malformed_names_stay_in_the_table_without_labels(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    row = read(tmp_path).rows.iloc[0]
    assert row["dropped"] == "malformed name"
    assert row["path"] == name
    assert row[["gender", "age_group", "age_years", "race"]].isna().all()


def test_identical_files_share_their_photo(tmp_path):
    write(tmp_path, a1_0_0=b"same", a2_0_0=b"other", a0_0_0=b"same", a5_0_0=b"same")
    reading = read(tmp_path)
    rows = by_age(reading)
    assert rows["photo"]["0"] == rows["photo"]["1"] == rows["photo"]["5"] != rows["photo"]["2"]
    assert reading.duplicates == 2


def test_conflicts_drop_only_the_column_in_conflict_for_the_whole_group(tmp_path):
    write(tmp_path, a30_0_1=b"same", a31_0_1=b"same", a60_1_2=b"alone", a29_1_1=b"same")
    reading = read(tmp_path)
    rows = by_age(reading)
    group = rows.loc[["29", "30", "31"]]
    assert group["gender"].isna().all()
    assert group["age_years"].isna().all()
    assert group["age_group"].tolist() == ["25-32"] * 3
    assert group["race"].tolist() == ["black"] * 3
    assert rows.loc["60", ["gender", "age_group", "age_years", "race"]].tolist() == [
        *["female", "60+", 60, "asian"]
    ]
    assert rows["dropped"].isna().all()
    assert reading.notes == [
        "1 of 1 groups of identical files disagree on gender: labels dropped",
        "1 of 1 groups of identical files disagree on age_years: labels dropped",
    ]


def test_identical_files_that_agree_keep_their_labels(tmp_path):
    write(tmp_path / "a", a30_0_1=b"same")
    write(tmp_path / "b", a30_0_1=b"same")
    reading = read(tmp_path)
    assert reading.duplicates == 1
    assert reading.notes == []
    assert reading.rows["age_years"].tolist() == [30, 30]


def test_a_malformed_name_takes_no_labels_from_its_copies_and_no_part_in_conflicts(tmp_path):
    write(tmp_path, a30_0_1=b"same", abad_0_1=b"same")
    reading = read(tmp_path)
    rows = by_age(reading)
    assert rows["age_years"]["30"] == 30
    assert rows["dropped"].isna()["30"]
    assert rows["dropped"]["bad"] == "malformed name"
    assert rows.loc["bad", ["gender", "age_group", "age_years", "race"]].isna().all()
    assert reading.duplicates == 1
    assert reading.notes == []


def test_rows_that_lose_every_label_are_dropped(tmp_path):
    write(tmp_path, a1_0_0=b"same", a60_1_1=b"same", a30_0_0=b"alone")
    rows = by_age(read(tmp_path))
    assert rows["dropped"].fillna("kept").to_dict() == {
        "1": "no label",
        "60": "no label",
        "30": "kept",
    }


def test_pictures_one_folder_below_are_found_in_order(tmp_path):
    write(tmp_path / "part2", a1_0_0=b"1")
    write(tmp_path / "part1", a2_0_0=b"2", a10_0_0=b"3")
    write(tmp_path / "part1" / "deeper", a4_0_0=b"4")
    (tmp_path / "readme.txt").write_text("x")
    paths = read(tmp_path).rows["path"].tolist()
    assert paths == [
        f"part1/10_0_0_{STAMP}1.jpg.chip.jpg",
        f"part1/2_0_0_{STAMP}0.jpg.chip.jpg",
        f"part2/1_0_0_{STAMP}0.jpg.chip.jpg",
    ]


def test_folders_are_not_looked_into_where_the_root_has_pictures(tmp_path):
    write(tmp_path, a1_0_0=b"1")
    write(tmp_path / "part1", a2_0_0=b"2")
    (tmp_path / "folder.jpg").mkdir()
    assert by_age(read(tmp_path)).index.tolist() == ["1"]


def test_unreadable_and_empty_files_do_not_stop_the_reading(tmp_path):
    write(tmp_path, a1_0_0=b"1", a2_0_0=b"")
    for years in (30, 60):  # a dangling link cannot be read even by root
        (tmp_path / f"{years}_1_0_{STAMP}.jpg").symlink_to(tmp_path / "gone")
    reading = read(tmp_path)
    assert reading.rows["photo"].nunique() == 4
    assert reading.rows["dropped"].isna().all()
    assert by_age(reading)["photo"]["2"] == hashlib.blake2b(b"", digest_size=16).hexdigest()


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_missing_data_set_says_how_to_get_it(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if kind == "empty":
        (tmp_path / "utk" / "sub").mkdir(parents=True)
        (tmp_path / "utk" / "1_0_0_1.png").write_bytes(b"x")
    if kind == "file":
        (tmp_path / "utk").write_text("x")
    message = error_of("utk")
    assert str(tmp_path / "utk") in message
    assert "[age]_[gender]_[race]_[timestamp].jpg.chip.jpg" in message
    assert "susanqq.github.io/UTKFace" in message
    assert "python -m facialnet.train +experiment=demo" in message


def test_wrong_policy_names_the_allowed_values(tmp_path):
    write(tmp_path, a1_0_0=b"1")
    message = error_of(tmp_path, label_policy="best")
    assert message == "data.label_policy=best: allowed values are exact, typo_fixed, nearest"


@pytest.mark.slow
def test_real_files(utkface_root):
    reading = read(utkface_root)
    rows = reading.rows
    names = sorted(path.name for path in utkface_root.iterdir())
    assert rows["path"].tolist() == names
    assert len(names) == 8_280
    assert rows.loc[rows["dropped"] == "malformed name", "path"].tolist() == [
        "61_1_20170109142408075.jpg.chip.jpg",
        "61_3_20170109150557335.jpg.chip.jpg",
    ]

    groups = defaultdict(list)  # by the bytes themselves, without any hash of ours
    for name in names:
        fields = name.split("_")
        groups[(utkface_root / name).read_bytes()].append(fields[:3] if len(fields) == 4 else None)
    copies = [[labels for labels in group if labels] for group in groups.values() if len(group) > 1]
    assert reading.duplicates == len(names) - len(groups)
    assert rows["photo"].nunique() == len(groups)

    values = {
        "age_years": lambda labels: labels[0],
        "age_group": lambda labels: bisect([0, 4, 8, 15, 23, 36, 46, 57], int(labels[0])),
        "gender": lambda labels: labels[1],
        "race": lambda labels: labels[2],
    }
    for column, value in values.items():
        conflicts = [group for group in copies if len(set(map(value, group))) > 1]
        note = f"{len(conflicts)} of {len(copies)} groups of identical files disagree on {column}:"
        assert any(text.startswith(note) for text in reading.notes)
        lost = sum(len(group) for group in conflicts)
        assert rows[column].isna().sum() == lost + 2  # and the two malformed names
