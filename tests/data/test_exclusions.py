import hashlib

import pandas as pd
import pytest

from facialnet.data.exclusions import exclude_rows, read_exclusions
from facialnet.data.manifest import as_manifest
from facialnet.errors import UserError


def digest(content):
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.fixture
def root(tmp_path):
    for name in ("a.jpg", "b.jpg", "c,d.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@pytest.fixture
def write(root):
    def call(*rows, header="path,content,reason"):
        path = root / "exclude.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return call


def table(**dropped):
    paths = ["a.jpg", "b.jpg", "c,d.jpg"]
    reasons = [dropped.get(path[0]) for path in paths]
    return as_manifest(pd.DataFrame({"path": paths, "dropped": reasons}))


def message_of(path):
    with pytest.raises(UserError) as caught:
        read_exclusions(path)
    message = str(caught.value)
    assert message.startswith(f"data.exclude={path}: ")
    assert "\n" not in message
    return message


def test_listed_pictures_are_marked(root, write):
    rows = table()
    path = write(f"b.jpg,{digest(b'b.jpg')},not a face", f'"c,d.jpg",{digest(b"c,d.jpg")},')
    assert exclude_rows(rows, root, read_exclusions(path)) == []
    assert rows["dropped"].fillna("kept").tolist() == ["kept", "excluded", "excluded"]


def test_a_picture_that_has_changed_stays(root, write):
    rows = table()
    path = write(f"a.jpg,{digest(b'other')},x", f"b.jpg,{digest(b'b.jpg')},x")
    notes = exclude_rows(rows, root, read_exclusions(path))
    assert rows["dropped"].fillna("kept").tolist() == ["kept", "excluded", "kept"]
    assert notes == ["exclusion list: kept 1 whose file has changed since, such as a.jpg"]


def test_a_picture_listed_with_two_contents_is_left_out_for_either(root, write):
    rows = table()
    path = write(f"a.jpg,{digest(b'other')},x", f"a.jpg,{digest(b'a.jpg')},x")
    assert exclude_rows(rows, root, read_exclusions(path)) == []
    assert rows["dropped"][0] == "excluded"


def test_paths_of_another_data_set_are_counted(root, write):
    rows = table()
    path = write(f"x.jpg,{digest(b'x')},", f"y.jpg,{digest(b'y')},", f"a.jpg,{digest(b'a.jpg')},")
    assert exclude_rows(rows, root, read_exclusions(path)) == [
        "exclusion list: 2 of 3 paths are not in this data set, such as x.jpg"
    ]


def test_rows_that_are_dropped_already_keep_their_reason(root, write):
    rows = table(a="no label", b="missing file")
    (root / "b.jpg").unlink()
    path = write(f"a.jpg,{digest(b'a.jpg')},x", f"b.jpg,{digest(b'b.jpg')},x")
    assert exclude_rows(rows, root, read_exclusions(path)) == []
    assert rows["dropped"].fillna("kept").tolist() == ["no label", "missing file", "kept"]


def test_a_file_that_cannot_be_read_stays_for_decoding_to_report(root, write):
    (root / "a.jpg").unlink()
    (root / "a.jpg").mkdir()
    rows = table()
    notes = exclude_rows(rows, root, read_exclusions(write(f"a.jpg,{digest(b'a.jpg')},x")))
    assert rows["dropped"].isna().all()
    assert len(notes) == 1


def test_other_columns_and_the_order_do_not_matter(write):
    one = read_exclusions(write(f"a.jpg,{digest(b'1')},x", f"b.jpg,{digest(b'2')},y"))
    header = "rank,reason,content,path"
    other = read_exclusions(
        write(f"1,,{digest(b'2')},b.jpg", f"2,z,{digest(b'1')},a.jpg", header=header)
    )
    assert one == other


def test_an_empty_list_leaves_nothing_out(root, write):
    rows = table()
    assert exclude_rows(rows, root, read_exclusions(write())) == []
    assert rows["dropped"].isna().all()


def test_the_digest_follows_what_is_listed(write):
    digests = {
        read_exclusions(write(*rows)).digest
        for rows in (
            [],
            [f"a.jpg,{digest(b'1')},x"],
            [f"b.jpg,{digest(b'1')},x"],
            [f"a.jpg,{digest(b'2')},x"],
        )
    }
    assert len(digests) == 4


def test_a_list_that_is_not_there(tmp_path):
    assert "there is no such file" in message_of(tmp_path / "exclude.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "path, content, reason"),
        (b"\xff\xfe\x00", "path, content, reason"),
        (b'path,content,reason\n"a.jpg', "path, content, reason"),
        (b"path,reason\na.jpg,x\n", "column 'content' is missing"),
        (b"path,content,reason\na.jpg,,x\n", "row 2"),
        (b"path,content,reason\na.jpg,1234,x\n", "'1234'"),
        (b"path,content,reason\n,0123456789abcdef0123456789abcdef,x\n", "row 2"),
    ],
)
def test_a_malformed_list(tmp_path, content, words):
    path = tmp_path / "exclude.csv"
    path.write_bytes(content)
    assert words in message_of(path)


def test_a_folder_is_no_list(tmp_path):
    assert "path, content, reason" in message_of(tmp_path)
