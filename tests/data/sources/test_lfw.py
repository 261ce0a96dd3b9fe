import tarfile
from collections import Counter

import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.lfw import GENDER_LIST, LFWSource
from facialnet.errors import UserError

LIST = "Name\tGender\r\nAda_Lovelace\tfemale\r\nAlan_Turing\tmale\r\nIda_Rhodes\tfemale\r\n"


def write(folder, *names):
    """Write pictures, each with its name as its bytes."""
    for name in names:
        person, _, number = name.rpartition("_")
        (folder / person).mkdir(parents=True, exist_ok=True)
        (folder / person / f"{name}.jpg").write_text(f"{person} {number}")


@pytest.fixture
def lfw(tmp_path):
    write(
        tmp_path / "lfw-deepfunneled", "Alan_Turing_0001", "Ada_Lovelace_0001", "Alan_Turing_0002"
    )
    (tmp_path / GENDER_LIST).write_text(LIST)
    return tmp_path


def read(folder, **options):
    return LFWSource(root=str(folder), **options).read()


def kept(reading):
    rows = reading.rows[reading.rows["dropped"].isna()]
    return dict(zip(rows["path"].str.rpartition("/")[2], rows["gender"], strict=True))


def error_of(folder, **options):
    with pytest.raises(UserError) as caught:
        read(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


TURING = {"Alan_Turing_0001.jpg": "male", "Alan_Turing_0002.jpg": "male"}
BOTH = {"Ada_Lovelace_0001.jpg": "female", **TURING}


def test_folders_and_list_become_the_manifest(lfw):
    reading = read(lfw)
    as_manifest(reading.rows)
    assert reading.rows["path"].tolist() == [
        "lfw-deepfunneled/Ada_Lovelace/Ada_Lovelace_0001.jpg",
        "lfw-deepfunneled/Alan_Turing/Alan_Turing_0001.jpg",
        "lfw-deepfunneled/Alan_Turing/Alan_Turing_0002.jpg",
    ]
    assert reading.rows["subject"].tolist() == ["Ada_Lovelace", "Alan_Turing", "Alan_Turing"]
    assert kept(reading) == BOTH
    unknown = ["album", "fold", "age_group", "age_years", "race", "dropped"]
    assert reading.rows[unknown].isna().all(axis=None)
    assert set(reading.rows["source"]) == {"lfw"}
    assert reading.rows["photo"].nunique() == 3
    assert (reading.root, reading.name, reading.duplicates) == (lfw, "lfw", 0)
    assert "research" in reading.licence


def test_people_of_the_list_without_pictures_are_counted(lfw):
    assert read(lfw).notes == ["1 of 3 people of the gender list have no pictures"]


def test_people_who_are_not_listed_are_dropped(lfw):
    write(lfw / "lfw-deepfunneled", "Grace_Hopper_0001")
    reading = read(lfw)
    assert kept(reading) == BOTH
    assert reading.rows.set_index("subject")["dropped"]["Grace_Hopper"] == "no label"
    assert "1 of 3 people are not on the gender list" in reading.notes


@pytest.mark.parametrize("place", [".", "lfw-deepfunneled", "above"])
def test_the_root_may_be_the_folder_above_or_that_of_the_people(lfw, tmp_path_factory, place):
    if place == "above":
        above = tmp_path_factory.mktemp("above")
        lfw = lfw.rename(above / "lfw")
        place = ".."
    reading = read((lfw / place).resolve())
    assert kept(reading) == BOTH
    assert (reading.root / reading.rows["path"][0]).is_file()


def test_people_may_lie_in_the_root_or_in_lfw(tmp_path):
    for number, folder in enumerate((".", "lfw")):
        root = tmp_path / str(number)
        write(root / folder, "Alan_Turing_0001", "Alan_Turing_0002")
        (root / GENDER_LIST).write_text(LIST)
        assert kept(read(root)) == TURING


def test_two_lists_of_pictures(lfw):
    (lfw / GENDER_LIST).unlink()
    (lfw / "male_names.txt").write_text("Alan_Turing_0001.jpg\nAlan_Turing_0002.jpg\n\n")
    assert GENDER_LIST in error_of(lfw)  # both are needed
    (lfw / "female_names.txt").write_text("Ada_Lovelace_0001.jpg\nIda_Rhodes_0003.jpg")
    reading = read(lfw)
    assert kept(reading) == BOTH
    assert reading.notes == ["1 of 3 people of the gender list have no pictures"]


def test_the_list_may_lie_elsewhere(lfw, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (lfw / GENDER_LIST).rename(elsewhere / GENDER_LIST)
    assert kept(read(lfw, gender_list=str(elsewhere))) == BOTH
    (elsewhere / GENDER_LIST).rename(elsewhere / "genders.txt")
    assert kept(read(lfw, gender_list=str(elsewhere / "genders.txt"))) == BOTH
    assert str(elsewhere) in error_of(lfw, gender_list=str(elsewhere))


def test_a_person_with_two_genders_has_none(lfw):
    with (lfw / GENDER_LIST).open("a") as file:
        file.write("Alan_Turing\tfemale\nAda_Lovelace\tfemale\nAlan_Turing\tmale\n")
    reading = read(lfw)
    assert kept(reading) == {"Ada_Lovelace_0001.jpg": "female"}
    assert "1 people are listed as male and as female: labels dropped" in reading.notes


def test_identical_pictures_share_their_photo_and_disagreeing_labels_are_dropped(lfw):
    people = lfw / "lfw-deepfunneled"
    (people / "Alan_Turing/Alan_Turing_0003.jpg").write_bytes(
        (people / "Ada_Lovelace/Ada_Lovelace_0001.jpg").read_bytes()
    )
    (people / "Alan_Turing/Alan_Turing_0004.jpg").write_bytes(
        (people / "Alan_Turing/Alan_Turing_0001.jpg").read_bytes()
    )
    reading = read(lfw)
    rows = reading.rows.set_index(reading.rows["path"].str.rpartition("/")[2])
    assert kept(reading) == {**TURING, "Alan_Turing_0004.jpg": "male"}
    assert rows["photo"]["Alan_Turing_0003.jpg"] == rows["photo"]["Ada_Lovelace_0001.jpg"]
    assert reading.duplicates == 2
    note = "1 of 2 groups of identical files disagree on gender: labels dropped"
    assert note in reading.notes


def test_pictures_with_another_name_than_their_folder_are_dropped(lfw):
    for name in ("Ada_Lovelace_0001.jpg", "Alan_Turing.jpg", "Alan_Turing_0001.jpg.jpg"):
        (lfw / "lfw-deepfunneled/Alan_Turing" / name).write_text(name)
    reading = read(lfw)
    assert kept(reading) == BOTH
    assert (reading.rows["dropped"] == "malformed name").sum() == 3


@pytest.mark.parametrize(
    "line", ["Alan_Turing", "Alan_Turing\tunknown", "Alan_Turing male", "a\tb\tmale"]
)
def test_a_line_of_another_form_is_named(lfw, line):
    (lfw / GENDER_LIST).write_text(f"Name\tGender\nAda_Lovelace\tfemale\n{line}\n")
    message = error_of(lfw)
    assert message.startswith(f"{lfw / GENDER_LIST}, line 3: expected Name<TAB>male|female")


def test_a_line_of_another_form_in_the_lists_of_pictures_is_named(lfw):
    (lfw / GENDER_LIST).unlink()
    (lfw / "male_names.txt").write_text("Alan_Turing_0001.jpg\nAlan Turing\n")
    (lfw / "female_names.txt").write_text("")
    assert "male_names.txt, line 2: expected Name_0001.jpg" in error_of(lfw)


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_missing_data_set_says_how_to_get_it(tmp_path, kind):
    root = tmp_path / "lfw-data"
    if kind == "empty":
        (root / "lfw-deepfunneled").mkdir(parents=True)
    if kind == "file":
        root.write_text("x")
    message = error_of(root)
    assert str(root) in message
    assert "lfw-deepfunneled/<Name>/<Name>_0001.jpg" in message
    assert "python -m facialnet.train +experiment=demo" in message


@pytest.mark.parametrize("corrected", [False, True])
def test_known_errors_of_the_list_are_counted_or_corrected(lfw, corrected):
    write(lfw / "lfw-deepfunneled", "Serena_Williams_0001", "Steven_Seagal_0001")
    with (lfw / GENDER_LIST).open("a") as file:  # the third has no pictures here
        file.write("Serena_Williams\tmale\nSteven_Seagal\tfemale\nMother_Teresa\tmale\n")
    reading = read(lfw, corrected=corrected)
    genders = kept(reading)
    williams, seagal = ("female", "male") if corrected else ("male", "female")
    others = {"Serena_Williams_0001.jpg": williams, "Steven_Seagal_0001.jpg": seagal}
    assert genders == {**BOTH, **others}
    notes = [note for note in reading.notes if "another gender" in note]
    assert len(notes) == 1
    assert notes[0].startswith("2 people")
    assert ("corrected=true" in notes[0]) is not corrected


def test_a_correction_is_not_counted_where_the_list_is_right(lfw):
    write(lfw / "lfw-deepfunneled", "Serena_Williams_0001", "Steven_Seagal_0001")
    with (lfw / GENDER_LIST).open("a") as file:
        file.write("Serena_Williams\tfemale\n")  # and the other one is not listed
    reading = read(lfw, corrected=True)
    assert kept(reading) == {**BOTH, "Serena_Williams_0001.jpg": "female"}
    assert not [note for note in reading.notes if "another gender" in note]


def test_missing_list_says_what_is_expected(lfw):
    (lfw / GENDER_LIST).unlink()
    message = error_of(lfw)
    assert "no gender list in" in message
    assert "set data.source.gender_list" in message


@pytest.mark.slow
def test_real_files(shared, tmp_path):
    with tarfile.open(shared / "data" / "lfw.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    reading = read(tmp_path)
    rows = reading.rows
    assert len(rows) == 7_669
    assert rows["dropped"].isna().all()
    assert Counter(rows["gender"]) == {"male": 5_826, "female": 1_843}
    assert rows["subject"].value_counts().max() == 3
    known, errors = reading.notes
    assert known == "460 of 5,749 people of the gender list have no pictures"
    assert errors.startswith("163 people have another gender than the list says")
    corrected = read(tmp_path, corrected=True).rows
    assert (corrected["gender"] != rows["gender"]).sum() == 218
    assert not corrected["gender"].isna().any()
