import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import Partition
from facialnet.data.sources.folder import FolderSource
from facialnet.errors import UserError

LABELS = ["gender", "age_group", "age_years", "race"]


def write(root, *paths):
    """Write pictures, each with its path as its bytes."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def read(root, **options):
    return FolderSource(root=str(root), **options).read()


def listed(root, text, **options):
    (root / "list.csv").write_text(text)
    return read(root, csv="list.csv", **options)


def by_path(reading, column):
    values = reading.rows[column].astype("object")
    return dict(zip(reading.rows["path"], values.where(values.notna(), None), strict=True))


def error_of(root, **options):
    with pytest.raises(UserError) as caught:
        read(root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- class folders -------------------------------------------------------------------------------


def test_class_folders_are_labels(tmp_path):
    write(tmp_path, "man/a.jpg", "Women/b.PNG", "female/deep/er/c.webp", "man/notes.txt")
    write(tmp_path, ".cache/x.jpg", "man/.hidden.jpg")
    reading = read(tmp_path)
    as_manifest(reading.rows)
    assert by_path(reading, "gender") == {
        "Women/b.PNG": "female",
        "female/deep/er/c.webp": "female",
        "man/a.jpg": "male",
    }
    assert reading.rows[["subject", "album", "fold", "part", "dropped"]].isna().all(axis=None)
    assert (reading.name, reading.licence, reading.notes) == ("folder", "not stated", [])


def test_age_groups_and_genders_beside_each_other(tmp_path):
    write(tmp_path, "25-32/a.jpg", "60+/b.jpg", "men/c.jpg")
    reading = read(tmp_path)
    assert by_path(reading, "age_group") == {
        "25-32/a.jpg": "25-32",
        "60+/b.jpg": "60+",
        "men/c.jpg": None,
    }
    assert by_path(reading, "gender")["men/c.jpg"] == "male"
    assert reading.rows["dropped"].isna().all()


def test_the_seven_layer_papers_layout(tmp_path):
    for part, count in (("train", 20), ("val", 3)):
        write(
            tmp_path, *(f"{part}/{sex}/{n}.jpg" for sex in ("man", "woman") for n in range(count))
        )
        write(tmp_path, *(f"all/{sex}/{part}{n}.jpg" for sex in ("man", "woman") for n in range(3)))
    reading = read(tmp_path)
    assert reading.rows["part"].value_counts().to_dict() == {"train": 40, "val": 6}
    assert reading.notes == ["all/ is left out: the partition lies beside it"]
    split = Partition(val_share=0.2).split(reading.rows)
    tested = reading.rows["path"].iloc[split.test]
    assert tested.str.startswith("val/").all()
    assert (len(split.test), len(split.val), len(split.train)) == (6, 8, 32)


@pytest.mark.parametrize(
    ("folder", "part"), [("Training", "train"), ("Validation", "val"), ("valid", "val")]
)
def test_other_names_of_parts(tmp_path, folder, part):
    write(tmp_path, f"{folder}/man/a.jpg", "test/woman/b.jpg")
    assert by_path(read(tmp_path), "part") == {
        f"{folder}/man/a.jpg": part,
        "test/woman/b.jpg": "test",
    }


def test_an_unknown_class_says_how_to_map_it(tmp_path):
    write(tmp_path, "boys/a.jpg", "girls/b.jpg", "man/c.jpg")
    message = error_of(tmp_path)
    assert f"{tmp_path}/boys: unknown class; known are male, man, men, female" in message
    assert "data.source.classes={boys: male}" in message
    reading = read(tmp_path, classes={"Boys": "male", "girls": "female"})
    assert reading.rows["gender"].tolist() == ["male", "female", "male"]


def test_mapped_names_may_be_numbers_and_any_label(tmp_path):
    write(tmp_path, "0/a.jpg", "1/b.jpg", "toddlers/c.jpg")
    rows = read(tmp_path, classes={0: "male", 1: "asian", "toddlers": "0-2"}).rows
    assert rows.set_index("path")[["gender", "race", "age_group"]].stack().dropna().to_dict() == {
        ("0/a.jpg", "gender"): "male",
        ("1/b.jpg", "race"): "asian",
        ("toddlers/c.jpg", "age_group"): "0-2",
    }


def test_a_class_that_no_label_is_called(tmp_path):
    write(tmp_path, "boys/a.jpg")
    message = error_of(tmp_path, classes={"boys": "boy"})
    assert message.startswith("data.source.classes.boys=boy: allowed are male, female, 0-2")


def test_a_class_folder_beside_parts_is_refused(tmp_path):
    write(tmp_path, "train/man/a.jpg", "woman/b.jpg")
    assert f"{tmp_path}/woman: unknown folder beside train/" in error_of(tmp_path)


def test_pictures_beside_class_folders_have_no_label(tmp_path):
    write(tmp_path, "man/a.jpg", "b.jpg")
    assert by_path(read(tmp_path), "dropped") == {"man/a.jpg": None, "b.jpg": "no label"}


def test_nothing_to_read(tmp_path):
    (tmp_path / "man").mkdir()
    assert "holds no such files: expected pictures in man/ and woman/" in error_of(tmp_path)
    assert "is not a folder" in error_of(tmp_path / "nowhere")


def test_identical_files_stay_together_and_lose_labels_they_disagree_on(tmp_path):
    write(tmp_path, "man/a.jpg", "man/b.jpg", "man/c.jpg")
    for copy in ("woman/a.jpg", "25-32/a.jpg", "man/d.jpg"):
        original = "man/a.jpg" if copy.endswith("a.jpg") else "man/b.jpg"
        write(tmp_path, copy)
        (tmp_path / copy).write_text(original)
    reading = read(tmp_path)
    photos = by_path(reading, "photo")
    assert photos["man/a.jpg"] == photos["woman/a.jpg"] == photos["25-32/a.jpg"]
    assert photos["man/b.jpg"] == photos["man/d.jpg"] != photos["man/c.jpg"]
    assert reading.duplicates == 3
    assert reading.notes == ["1 of 2 groups of identical files disagree on gender: labels dropped"]
    assert by_path(reading, "dropped") == {
        "25-32/a.jpg": None,  # its age is no matter of dispute
        "man/a.jpg": "no label",
        "man/b.jpg": None,
        "man/c.jpg": None,
        "man/d.jpg": None,
        "woman/a.jpg": "no label",
    }


# --- a list --------------------------------------------------------------------------------------


def test_a_list_brings_all_that_a_manifest_knows(tmp_path):
    write(tmp_path, "x/a.jpg", "b.jpg")
    reading = listed(
        tmp_path,
        "path,subject,album,photo,fold,part,gender,age_group,age_years,race\n"
        "x/a.jpg,ada,al,ph,3,Val,Woman,25-32,,indian\n"
        "\n"
        f"{tmp_path}/b.jpg,,,,,,,,61.0,\n",
    )
    first, second = (row.to_dict() for _, row in as_manifest(reading.rows).iterrows())
    assert first["path"] == "x/a.jpg"
    assert [first[name] for name in ("subject", "album", "photo", "fold", "part")] == [
        *["ada", "al", "ph", 3, "val"]
    ]
    assert [first[name] for name in ("gender", "age_group", "race")] == [
        "female",
        "25-32",
        "indian",
    ]
    assert second["path"] == "b.jpg"
    assert (second["age_years"], second["age_group"]) == (61, "60+")
    assert reading.rows["subject"].isna().tolist() == [False, True]
    assert reading.rows["photo"].notna().all()  # a hash where none is given


def test_age_groups_follow_from_years_by_the_policy(tmp_path):
    write(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    text = "path,age_years,age_group\na.jpg,35,\nb.jpg,30,\nc.jpg,35,0-2\n"
    assert listed(tmp_path, text).rows["age_group"].tolist() == ["25-32", "25-32", "0-2"]
    exact = listed(tmp_path, text, label_policy="exact").rows
    assert exact["age_group"].isna().tolist() == [True, False, False]
    assert exact["dropped"].fillna("").tolist() == ["no label", "", ""]


def test_names_of_the_list_may_be_mapped(tmp_path):
    write(tmp_path, "a.jpg")
    reading = listed(tmp_path, "path,gender\na.jpg,M\n", classes={"m": "male"})
    assert reading.rows["gender"].tolist() == ["male"]


def test_the_list_may_lie_elsewhere(tmp_path, monkeypatch):
    write(tmp_path / "data", "a.jpg")
    (tmp_path / "list.csv").write_text("path,gender\na.jpg,man\n", encoding="utf-8-sig")
    monkeypatch.chdir(tmp_path)
    assert read("data", csv="list.csv").rows["gender"].tolist() == ["male"]


def test_a_picture_listed_twice_is_kept_once(tmp_path):
    write(tmp_path, "a.jpg", "b.jpg")
    reading = listed(
        tmp_path, "path,gender,race\na.jpg,male,white\na.jpg,male,black\nb.jpg,male,\n"
    )
    assert reading.rows["dropped"].fillna("").tolist() == ["", "duplicate row", ""]
    assert reading.rows["race"].isna().all()
    assert reading.notes == ["1 of 1 groups of identical files disagree on race: labels dropped"]


def test_a_photo_of_two_people_keeps_both_genders(tmp_path):
    write(tmp_path, "a.jpg", "b.jpg")
    reading = listed(tmp_path, "path,photo,gender\na.jpg,p,male\nb.jpg,p,female\n")
    assert reading.rows["gender"].tolist() == ["male", "female"]
    assert (reading.rows["photo"].tolist(), reading.notes) == (["p", "p"], [])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("path,sex\na.jpg,m\n", ": unknown column 'sex'; known are path, subject, album"),
        ("file,gender\na.jpg,male\n", ": unknown column 'file'; known are path"),
        ("gender\nmale\n", ": column 'path' is missing; known are path"),
        ("path,gender,gender\na.jpg,male,male\n", ": column 'gender' stands there twice"),
        ("", ": column 'path' is missing"),
        ("path,gender\n", ": no rows after the header"),
        ("path,gender\na.jpg,male\nb.jpg\n", ", line 3: 1 columns instead of 2"),
        ("path,gender\na.jpg,boy\n", ", line 2: unknown gender 'boy'; allowed are male, female"),
        ("path,gender\na.jpg,25-32\n", ", line 2: unknown gender '25-32'"),
        ("path,age_group\na.jpg,20-30\n", ", line 2: unknown age_group '20-30'; allowed are 0-2"),
        ("path,race\na.jpg,blue\n", "data.source.classes={blue: white}"),
        ("path,part\na.jpg,dev\n", ", line 2: unknown part 'dev'; allowed are train, val, test"),
        ("path,fold\na.jpg,one\n", ", line 2: fold 'one' must be a whole number"),
        ("path,age_years\na.jpg,-3\n", ", line 2: age_years '-3' must be a whole number"),
        ("path,age_years\na.jpg,30.5\n", ", line 2: age_years '30.5' must be a whole number"),
        ("path\n../a.jpg\n", ", line 2: path '../a.jpg' must be that of a picture below"),
        ("path\n/etc/passwd\n", ", line 2: path '/etc/passwd' must be that of a picture below"),
        ('path,gender\n"",male\n', ", line 2: path '' must be that of a picture below"),
    ],
)
def test_a_list_that_cannot_be_used_says_where(tmp_path, text, reason):
    write(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "list.csv").write_text(text)
    message = error_of(tmp_path, csv="list.csv")
    assert message.startswith(f"{tmp_path}/list.csv")
    assert reason in message


def test_a_list_that_is_not_there(tmp_path):
    message = error_of(tmp_path, csv="labels.csv")
    assert (
        f"data.source.csv=labels.csv: there is no such file, nor {tmp_path}/labels.csv" in message
    )


def test_a_missing_picture_is_left_to_preparation(tmp_path):
    write(tmp_path, "a.jpg")
    reading = listed(tmp_path, "path,gender\na.jpg,male\nnot_there.jpg,male\n")
    assert reading.rows["dropped"].isna().all()
    assert reading.rows["photo"].nunique() == 2
    assert reading.duplicates == 0


def test_a_wrong_policy(tmp_path):
    assert "data.label_policy=near" in error_of(tmp_path, label_policy="near")
