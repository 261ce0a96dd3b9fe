import numpy as np
import pytest

from facialnet.data.faces.given import GivenFaces
from facialnet.data.manifest import LANDMARKS
from facialnet.errors import UserError

HEAD = "path,x,y,width,height"


def written(tmp_path, *lines, name="boxes.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_boxes_by_path_largest_first(tmp_path):
    lines = ["a/1.jpg,1,2,30,40", "a/1.jpg,-3.5,2,50,40", "é ü.jpg,0,0,9,9"]
    given = GivenFaces(csv=written(tmp_path, HEAD, *lines))
    assert [face.box for face in given.faces(tmp_path / "a" / "1.jpg")] == [
        (-3.5, 2, 50, 40),
        (1, 2, 30, 40),
    ]
    (other,) = given.faces(str(tmp_path / "a" / ".." / "é ü.jpg"))
    assert (other.score, other.points) == (1, None)
    assert given.faces(tmp_path / "unlisted.jpg") == []


def test_paths_below_another_folder_and_columns_in_any_order(tmp_path):
    path = written(tmp_path, "height,width,y,x,path,note", "4,3,2,1,b.jpg,hello")
    (face,) = GivenFaces(csv=path, root=tmp_path / "photos").faces(tmp_path / "photos" / "b.jpg")
    assert face.box == (1, 2, 3, 4)


def test_five_points_where_they_are_given(tmp_path):
    head = ",".join((HEAD, *LANDMARKS))
    path = written(
        tmp_path, head, "a.jpg,1,2,3,4," + ",".join(map(str, range(10))), "b.jpg,1,2,3,4" + "," * 10
    )
    given = GivenFaces(csv=path)
    (face,) = given.faces(tmp_path / "a.jpg")
    np.testing.assert_array_equal(face.points, np.arange(10, dtype=np.float32).reshape(5, 2))
    assert given.faces(tmp_path / "b.jpg")[0].points is None


def test_the_digest_follows_the_content(tmp_path):
    one = GivenFaces(csv=written(tmp_path, HEAD, "a.jpg,1,2,3,4"))
    same = GivenFaces(csv=written(tmp_path, HEAD, "a.jpg,1,2,3,4", name="same.csv"))
    other = GivenFaces(csv=written(tmp_path, HEAD, "a.jpg,1,2,3,5", name="other.csv"))
    assert one.digest == same.digest != other.digest


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "column 'path' is missing"),
        (["path,x,y,width"], "column 'height' is missing"),
        ([HEAD + ",nose_x", "a,1,2,3,4,5"], "'right_eye_x' is missing; points need all ten"),
        ([HEAD, "a,1,2,3,4", "b,1,two,3,4"], "line 3: y is 'two', not a number"),
        ([HEAD, "a,1,2,3"], "line 2: height is None, not a number"),
        ([HEAD, "a,nan,2,3,4"], "line 2: x is 'nan', not a number"),
        ([HEAD, "a,1,2,0,4"], "line 2: width and height must be at least 1 pixel"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, lines, message):
    with pytest.raises(UserError, match=message) as caught:
        GivenFaces(csv=written(tmp_path, *lines))
    assert "boxes.csv" in str(caught.value)


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(UserError, match="there is no such file; give a CSV with the columns path"):
        GivenFaces(csv=tmp_path / "none.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match=r"picture\.csv: .*give a CSV"):
        GivenFaces(csv=tmp_path / "picture.csv")
