import re

import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.adience import AdienceSource
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS

HEADER = (
    "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\t"
    "tilt_ang\tfiducial_yaw_angle\tfiducial_score"
)


def line(album="7@N01", photo="1_a_o.jpg", face="12", age="(25, 32)", gender="f"):
    return "\t".join([album, photo, face, age, gender, *"1234567"])


def write_lists(folder, *rows, pattern="fold_{}_data.txt"):
    """Write the rows to fold 0 and one row of another album to each of the other folds."""
    for fold in range(5):
        content = rows if fold == 0 and rows else [line(album=f"{fold}@N99", face=str(100 + fold))]
        text = "".join(f"{row}\n" for row in [HEADER, *content])
        (folder / pattern.format(fold)).write_text(text)


def read(folder, **options):
    return AdienceSource(root=str(folder), **options).read()


def error_of(folder, **options):
    with pytest.raises(UserError) as caught:
        read(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_row_of_the_list_becomes_a_row_of_the_manifest(tmp_path):
    write_lists(tmp_path, line(gender="m"))
    reading = read(tmp_path)
    row = reading.rows.iloc[0]
    assert row["path"] == "aligned/7@N01/landmark_aligned_face.12.1_a_o.jpg"
    assert (row["source"], row["subject"], row["album"]) == ("adience", "12", "7@N01")
    assert (row["photo"], row["fold"]) == ("1_a_o.jpg", 0)
    assert (row["gender"], row["age_group"]) == ("male", "25-32")
    assert row[["age_years", "race", "dropped"]].isna().all()
    assert reading.rows["fold"].tolist() == [0, 1, 2, 3, 4]
    assert (reading.root, reading.name, reading.duplicates) == (tmp_path, "adience", 0)
    assert "Open University of Israel" in reading.licence
    as_manifest(reading.rows)


def test_faces_have_their_own_names(tmp_path):
    write_lists(tmp_path, line())
    paths = read(tmp_path, naming="faces").rows["path"]
    assert paths[0] == "faces/7@N01/coarse_tilt_aligned_face.12.1_a_o.jpg"


def test_frontal_lists_are_read_instead_of_the_full_ones(tmp_path):
    write_lists(tmp_path, line(face="1"), line(face="2"))
    write_lists(tmp_path, line(face="2"), pattern="fold_frontal_{}_data.txt")
    assert len(read(tmp_path).rows) == 6
    assert read(tmp_path, lists="frontal").rows["subject"].tolist()[0] == "2"


@pytest.mark.parametrize(
    ("text", "gender"), [("f", "female"), ("m", "male"), ("u", None), ("", None)]
)
def test_genders(tmp_path, text, gender):
    write_lists(tmp_path, line(gender=text))
    value = read(tmp_path).rows["gender"][0]
    assert value == gender or (gender is None and value != value)


def test_policy_decides_on_unofficial_ages_but_years_stay(tmp_path):
    write_lists(tmp_path, line(age="35"), line(age="(25, 23)", face="2"), line(age="35", face="3"))
    exact, nearest = (read(tmp_path, label_policy=policy).rows for policy in ("exact", "nearest"))
    assert exact["age_group"][:3].isna().all()
    assert nearest["age_group"][:3].tolist() == ["25-32"] * 3
    for rows in (exact, nearest):
        assert rows["age_years"][0] == 35
        assert rows["age_years"].isna()[1]


def test_rows_without_a_label_are_kept_in_the_table_with_the_reason(tmp_path):
    write_lists(
        tmp_path,
        line(face="1", age="None", gender="u"),
        line(face="2", age="None", gender="f"),
        line(face="3", age="(0, 2)", gender=""),
        line(face="4", age="22", gender="u"),
    )
    exact, nearest = (read(tmp_path, label_policy=policy).rows for policy in ("exact", "nearest"))
    assert exact.index[exact["dropped"] == "no label"].tolist() == [0, 3]
    assert nearest.index[nearest["dropped"] == "no label"].tolist() == [0]
    assert exact["dropped"].isna()[[1, 2]].all()


def test_only_repeated_faces_are_duplicates(tmp_path):
    write_lists(
        tmp_path,
        line(),
        line(face="13"),  # another person in the same photograph
        line(),
        line(photo="2_b_o.jpg"),
        line(album="8@N01"),
        line(),
        line(photo="3_c_o.jpg", age="None", gender="u"),
        line(photo="3_c_o.jpg", age="None", gender="u"),
    )
    reading = read(tmp_path)
    dropped = reading.rows["dropped"]
    assert dropped.index[dropped == "duplicate row"].tolist() == [2, 5, 7]
    assert dropped.index[dropped == "no label"].tolist() == [6]
    assert reading.duplicates == 3
    assert reading.rows["gender"][2] == "female"


def test_quotes_are_ordinary_characters(tmp_path):
    write_lists(tmp_path, line(photo='"1_a.jpg'), line(photo="2_b.jpg"))
    assert read(tmp_path).rows["photo"].tolist()[:2] == ['"1_a.jpg', "2_b.jpg"]


def test_line_ends_of_windows_and_a_missing_last_one_are_fine(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "fold_0_data.txt").write_bytes(f"{HEADER}\r\n{line()}\r\n{line(face='2')}".encode())
    assert read(tmp_path).rows["subject"].tolist()[:2] == ["12", "2"]


def test_columns_are_found_by_name(tmp_path):
    write_lists(tmp_path)
    text = "\n".join("\t".join(row.split("\t")[::-1]) for row in [HEADER, line()])
    (tmp_path / "fold_0_data.txt").write_text(text)
    assert read(tmp_path).rows["album"][0] == "7@N01"


@pytest.mark.parametrize("there", [True, False])
def test_missing_data_set_says_how_to_get_it(tmp_path, there, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "adience" / "folds").mkdir(parents=True)
    message = error_of("adience")
    assert str(tmp_path / "adience") in message
    assert "fold_0_data.txt … fold_4_data.txt" in message
    assert "aligned/ or faces/" in message
    assert "Open University of Israel" in message
    assert "talhassner.github.io/home/projects/Adience" in message
    assert "python -m facialnet.train +experiment=demo" in message


def test_full_lists_do_not_stand_in_for_frontal_ones(tmp_path):
    write_lists(tmp_path)
    assert "fold_frontal_0_data.txt … fold_frontal_4" in error_of(tmp_path, lists="frontal")


def test_one_missing_list_is_named(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "fold_3_data.txt").unlink()
    message = error_of(tmp_path)
    assert str(tmp_path / "fold_3_data.txt") in message
    assert "is missing" in message


@pytest.mark.parametrize(
    ("bad", "columns"), [("7@N01\t1_a_o.jpg\t12\t(25, 3", 4), ("", 1), (line() + "\t9", 13)]
)
def test_row_with_another_number_of_columns_is_named_by_its_line(tmp_path, bad, columns):
    write_lists(tmp_path, line(), bad)
    message = error_of(tmp_path)
    assert f"{tmp_path / 'fold_0_data.txt'}, line 3: {columns} columns instead of 12" in message


@pytest.mark.parametrize(
    ("content", "reason"), [("", "the file is empty"), (HEADER + "\n", "no rows after the header")]
)
def test_list_without_rows_is_named(tmp_path, content, reason):
    write_lists(tmp_path)
    (tmp_path / "fold_2_data.txt").write_text(content)
    message = error_of(tmp_path)
    assert f"{tmp_path / 'fold_2_data.txt'}: {reason}" in message


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER.replace("\tage\t", "\tyears\t"), "column 'age' is missing"),
        (HEADER.replace("\tage\t", "\t"), "column 'age' is missing"),
        (HEADER + "\trace", "unknown or repeated column 'race'"),
        (HEADER + "\tage", "unknown or repeated column 'age'"),
        ("<html>", "column 'user_id' is missing"),
        ("\x1f\x8b\xff\x00", "column 'user_id' is missing"),
    ],
)
def test_wrong_header_names_the_column_and_the_expected_ones(tmp_path, header, words):
    write_lists(tmp_path)
    (tmp_path / "fold_1_data.txt").write_bytes(f"{header}\n{line()}\n".encode("latin-1"))
    message = error_of(tmp_path)
    assert f"{tmp_path / 'fold_1_data.txt'}: {words}" in message
    assert HEADER.replace("\t", ", ") in message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (line(gender="x"), "unknown gender 'x'"),
        (line(gender="F"), "unknown gender 'F'"),
        (line(age="young"), "unknown age label 'young'"),
        (line(age="(25, 3"), "unknown age label '(25, 3'"),
    ],
)
@pytest.mark.parametrize("policy", ["exact", "nearest"])
def test_unknown_labels_are_named_with_file_and_line(tmp_path, row, words, policy):
    write_lists(tmp_path, line(), row)
    message = error_of(tmp_path, label_policy=policy)
    assert f"{tmp_path / 'fold_0_data.txt'}, line 3: {words}" in message


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("source.naming", "aligned, faces"),
        ("source.lists", "full, frontal"),
        ("label_policy", "exact, typo_fixed, nearest"),
    ],
)
def test_wrong_options_name_the_allowed_values(tmp_path, option, allowed):
    write_lists(tmp_path)
    message = error_of(tmp_path, **{option.rpartition(".")[2]: "best"})
    assert message == f"data.{option}=best: allowed values are {allowed}"


# Counts over all 19,487 rows: age group, both labels, at least one.
COUNTS = {
    "exact": (17_424, 16_258, 18_769),
    "typo_fixed": (17_496, 16_330, 18_769),
    "nearest": (18_734, 17_563, 18_774),
}
GROUPS_NEAREST = [2_540, 2_163, 2_301, 1_805, 5_609, 2_502, 910, 904]


@pytest.mark.parametrize("policy", COUNTS)
def test_counts_of_the_official_lists(shared, policy):
    reading = read(shared / "data" / "adience", label_policy=policy)
    rows = reading.rows
    age, gender = rows["age_group"].notna(), rows["gender"].notna()
    assert len(rows) == 19_487
    assert reading.duplicates == 117
    assert gender.sum() == 17_603
    assert (age.sum(), (age & gender).sum(), (age | gender).sum()) == COUNTS[policy]
    assert (rows["dropped"] == "duplicate row").sum() == 117
    labelled = rows[rows["dropped"].isna()]
    assert labelled[["gender", "age_group"]].notna().any(axis=1).all()
    if policy == "nearest":
        assert rows["age_group"].value_counts()[[*AGE_GROUPS]].tolist() == GROUPS_NEAREST


def test_official_lists_keep_their_order_and_their_people_apart(shared):
    folder = shared / "data" / "adience"
    rows = read(folder).rows
    texts = [(folder / f"fold_{fold}_data.txt").read_text() for fold in range(5)]
    faces = [re.findall(r"^\S+\t\S+\t(\d+)\t", text, flags=re.M) for text in texts]
    assert rows["subject"].tolist() == [face for fold in faces for face in fold]
    assert rows["fold"].tolist() == [i for i, fold in enumerate(faces) for _ in fold]
    assert rows["album"].nunique() == 168
    assert rows["subject"].nunique() == 2_284
    assert (rows.groupby("subject")["album"].nunique() == 1).all()
    assert (rows.groupby("album")["fold"].nunique() == 1).all()
