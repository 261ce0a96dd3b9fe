import pytest

from facialnet.data.faces.choice import largest, main_face, most_central
from facialnet.data.faces.face import Face

SHAPE = (100, 200, 3)


def face(x, y, side):
    """A face whose box is centred on x and y."""
    return Face(box=(x - side / 2, y - side / 2, side, side), score=0.9, points=None)


def test_of_none_there_is_none():
    assert largest([]) is most_central([], SHAPE) is main_face([], SHAPE) is None


def test_largest_and_most_central_may_differ():
    aside, middle = face(40, 50, 60), face(103, 50, 20)
    assert largest([middle, aside]) is aside
    assert most_central([aside, middle], SHAPE) is middle


def test_height_comes_before_width_in_a_shape():
    assert most_central([face(50, 100, 9), face(100, 50, 9)], SHAPE).box[0] == 95.5


@pytest.mark.parametrize(
    ("faces", "chosen"),
    [
        ([face(100, 50, 40), face(100, 50, 30)], 0),  # equally central
        ([face(100, 50, 20), face(180, 50, 40)], 0),  # a larger one at the border
        ([face(100, 50, 10), face(110, 50, 60)], 1),  # a small one behind the middle
    ],
)
def test_the_main_face_is_large_and_near_the_centre(faces, chosen):
    assert main_face(faces, SHAPE) is faces[chosen]
    assert main_face(faces[::-1], SHAPE) is faces[chosen]
