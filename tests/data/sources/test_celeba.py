import re
import shutil

import pytest

from facialnet.data.leakage import find_leaks
from facialnet.data.manifest import as_manifest
from facialnet.data.protocol import Partition
from facialnet.data.sources.celeba import CelebASource
from facialnet.errors import UserError

# The owners' form: a count, the names with a space at the end, rows with two spaces before a 1.
ATTRIBUTES = """4
5_o_Clock_Shadow Male Young 
000001.jpg -1 -1  1
000002.jpg -1  1  1
000003.jpg  1  1 -1
000004.jpg -1 -1 -1\r
"""  # noqa: W291
PARTITION = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n000004.jpg 0\n"
IDENTITIES = "000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n000004.jpg 8692\n"
GENDERS = ["female", "male", "male", "female"]


@pytest.fixture
def celeba(tmp_path):
    pictures = tmp_path / "img_align_celeba"
    pictures.mkdir()
    for number in range(1, 5):
        (pictures / f"{number:06}.jpg").write_text(str(number))
    (tmp_path / "list_attr_celeba.txt").write_text(ATTRIBUTES)
    (tmp_path / "list_eval_partition.txt").write_text(PARTITION)
    (tmp_path / "identity_CelebA.txt").write_text(IDENTITIES)
    return tmp_path


def read(root):
    return CelebASource(root=str(root)).read()


def error_of(root):
    with pytest.raises(UserError) as caught:
        read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def as_csv(text, header=""):
    lines = [",".join(line.split()) for line in text.splitlines()]
    return "\n".join([header, *lines] if header else lines) + "\n"


def to_csv(root):
    """Turn the lists into those of Kaggle's copies."""
    lines = ATTRIBUTES.splitlines()
    text = "\n".join(["image_id " + lines[1], *lines[2:]])
    (root / "list_attr_celeba.csv").write_text(as_csv(text))
    (root / "list_eval_partition.csv").write_text(as_csv(PARTITION, "image_id,partition"))
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        (root / name).unlink()


def test_the_lists_become_the_manifest(celeba):
    reading = read(celeba)
    rows = as_manifest(reading.rows)
    assert rows["path"].tolist() == [f"img_align_celeba/{n:06}.jpg" for n in range(1, 5)]
    assert rows["gender"].tolist() == GENDERS
    assert rows["part"].tolist() == ["train", "val", "test", "train"]
    assert rows["subject"].tolist() == ["2880", "2937", "2880", "8692"]
    assert (
        rows[["album", "photo", "fold", "age_group", "age_years", "race", "dropped"]]
        .isna()
        .all(axis=None)
    )
    assert set(rows["source"]) == {"celeba"}
    assert (reading.name, reading.root, reading.notes) == ("celeba", celeba, [])
    assert reading.licence == "non-commercial research only"


def test_kaggles_lists_say_the_same(celeba):
    first = read(celeba)
    to_csv(celeba)
    second = read(celeba)
    assert second.rows.equals(first.rows)
    assert second.notes == first.notes


@pytest.mark.parametrize("form", ["owners", "kaggle"])
def test_folders_of_the_downloads(celeba, form):
    expected = read(celeba).rows
    pictures = celeba / "img_align_celeba"
    if form == "owners":
        (celeba / "Img").mkdir()
        pictures.rename(celeba / "Img/img_align_celeba")
        for folder, name in (
            ("Anno", "list_attr_celeba.txt"),
            ("Anno", "identity_CelebA.txt"),
            ("Eval", "list_eval_partition.txt"),
        ):
            (celeba / folder).mkdir(exist_ok=True)
            (celeba / name).rename(celeba / folder / name)
        prefix = "Img/img_align_celeba"
    else:
        pictures.rename(celeba / "inner")
        pictures.mkdir()
        (celeba / "inner").rename(pictures / "img_align_celeba")
        prefix = "img_align_celeba/img_align_celeba"
    rows = read(celeba).rows
    assert rows["path"].tolist() == [f"{prefix}/{n:06}.jpg" for n in range(1, 5)]
    assert rows.drop(columns="path").equals(expected.drop(columns="path"))


def test_a_partial_copy_is_accepted_and_counted(celeba):
    text = ATTRIBUTES.replace("4\n", "202599\n", 1)
    (celeba / "list_attr_celeba.txt").write_text(text)
    for number in (1, 3):
        (celeba / f"img_align_celeba/{number:06}.jpg").unlink()
    reading = read(celeba)
    assert reading.rows["dropped"].fillna("").tolist() == ["not in this copy", ""] * 2
    assert reading.notes == [
        "partial list: it announces 202,599 pictures and has 4",
        "partial copy: 2 of the 4 listed pictures are here",
    ]


def test_pictures_that_lists_lack_are_counted(celeba):
    shutil.copy(celeba / "img_align_celeba/000001.jpg", celeba / "img_align_celeba/000009.jpg")
    (celeba / "list_eval_partition.txt").write_text("000002.jpg 1\n")
    (celeba / "identity_CelebA.txt").write_text("000001.jpg 7\n000002.jpg 7\n")
    reading = read(celeba)
    last = reading.rows.iloc[-1]
    assert (last["path"], last["dropped"]) == ("img_align_celeba/000009.jpg", "no label")
    assert reading.rows["part"].notna().sum() == 1
    assert reading.notes == [
        "1 pictures are not on the attribute list",
        "4 pictures are not on the partition list",
        "3 pictures are not on identity_CelebA.txt",
    ]


def test_without_the_list_of_people_nobody_is_known(celeba):
    (celeba / "identity_CelebA.txt").unlink()
    reading = read(celeba)
    assert reading.rows["subject"].isna().all()
    assert reading.notes == ["people are not known: there is no identity_CelebA.txt"]


@pytest.mark.parametrize("name", ["list_attr_celeba", "list_eval_partition"])
def test_a_missing_list_is_named(celeba, name):
    (celeba / f"{name}.txt").unlink()
    assert f"{celeba / name}.txt (or .csv) is missing" in error_of(celeba)


def test_no_pictures(celeba, tmp_path):
    shutil.rmtree(celeba / "img_align_celeba")
    message = error_of(celeba)
    assert "holds no such files: expected img_align_celeba/*.jpg" in message
    assert "set data.root" in message
    assert "is not a folder" in error_of(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "reason"),
    [
        ("list_attr_celeba", "4\n", "four\n", 1, "expected the number of pictures"),
        ("list_attr_celeba", "4\n", "3\n", 6, "more than the 3 pictures that line 1 announces"),
        ("list_attr_celeba", "Male", "Mail", 2, "expected the names of the attributes"),
        ("list_attr_celeba", "02.jpg -1  1  1", "02.jpg -1  1", 4, "3 columns instead of 4"),
        ("list_attr_celeba", "03.jpg  1", "03.jpg  0", 5, "'0' is not 1 or -1"),
        ("list_attr_celeba", "000003", "000002", 5, "000002.jpg is listed twice"),
        ("list_eval_partition", "03.jpg 2", "03.jpg 3", 3, "partition 3 is not 0, 1 or 2"),
        ("list_eval_partition", "03.jpg 2", "03.jpg", 3, "expected a picture and a number"),
        ("list_eval_partition", "000003", "000002", 3, "000002.jpg is listed twice"),
        ("identity_CelebA", "2937", "x", 2, "expected a picture and a number"),
    ],
)
def test_a_damaged_list_is_refused_with_its_line(celeba, name, old, new, line, reason):
    path = celeba / f"{name}.txt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    message = error_of(celeba)
    assert f"{path}, line {line}: " in message
    assert reason in message
    assert message.endswith("; restore the official file")


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_an_empty_list_is_refused(celeba, name):
    (celeba / name).write_text("")
    assert re.search(rf"{name}: .*; restore the official file", error_of(celeba))


def test_damaged_csv_lists(celeba):
    to_csv(celeba)
    path = celeba / "list_attr_celeba.csv"
    text = path.read_text()
    path.write_text(text.replace("image_id", "picture", 1))
    assert f"{path}, line 1: expected the names of the attributes" in error_of(celeba)
    path.write_text(text.replace("000003.jpg,1", "000003.jpg,", 1))
    assert f"{path}, line 4: '' is not 1 or -1" in error_of(celeba)
    path.write_text(text.splitlines()[0])
    assert "no rows after the header" in error_of(celeba)


def test_the_official_partition_is_split_by(celeba):
    manifest = as_manifest(read(celeba).rows).drop(columns="dropped")
    split = Partition().split(manifest)
    assert [part.tolist() for part in (split.train, split.val, split.test)] == [[0, 3], [1], [2]]
    assert find_leaks(manifest, split).leaky  # person 2880 of this test is on both sides


@pytest.mark.slow
def test_the_shared_copy(shared, tmp_path):
    shutil.unpack_archive(shared / "data/celeba.tar", tmp_path, filter="data")
    reading = read(tmp_path / "celeba")
    kept = reading.rows[reading.rows["dropped"].isna()]
    assert (len(reading.rows), len(kept)) == (1783, 1177)
    assert kept["path"].iloc[0].endswith("000607.jpg")
    assert kept["path"].iloc[-1].endswith("001783.jpg")
    # counted with awk: column 22 of the rows whose picture is there
    assert kept["gender"].value_counts().to_dict() == {"female": 695, "male": 482}
    assert reading.notes[0] == "partial list: it announces 202,599 pictures and has 1,783"
    with pytest.raises(UserError, match="use protocol=holdout"):
        Partition().split(as_manifest(kept.drop(columns="dropped")))
