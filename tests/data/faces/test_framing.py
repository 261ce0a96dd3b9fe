import time

import albumentations as A
import cv2
import numpy as np
import pytest

from facialnet.data.alignment import STANDARD_LAYOUT, similarity, zoomed
from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import POINTS_IN_BOX, frame
from facialnet.data.transforms import AlignFivePoints, CentreCrop, Preprocessing

POINTS = np.array([[180, 210], [262, 205], [226, 250], [192, 292], [260, 288]], np.float32)
LAYOUT = zoomed(STANDARD_LAYOUT, 0.7).tolist()


def photo(shape=(500, 450), seed=0):
    """A smooth coloured picture, so that interpolation matters little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def face(points=POINTS, box=(150, 150, 140, 180)):
    return Face(box=box, score=0.9, points=points)


def moved(image, points, *, degrees, scale, shift):
    """Turn, scale and shift a picture and the points in it."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
    matrix[:, 2] += shift
    turned = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC)
    return turned, (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("degrees", "scale", "shift"),
    [(0, 1, (37, -21)), (35, 1, (3.5, 10.25)), (-120, 0.8, (0, 0)), (12, 1.3, (-20, -30))],
)
def test_a_face_that_is_moved_in_its_photo_gives_the_same_pixels(channels, degrees, scale, shift):
    preprocessing = Preprocessing(channels=channels)
    image, points = photo((1000, 900)), POINTS + np.float32(220)  # nothing beyond it is seen
    first = frame(image, face(points), LAYOUT, preprocessing)
    other, points = moved(image, points, degrees=degrees, scale=scale, shift=shift)
    second = frame(other, face(points), LAYOUT, preprocessing)
    assert first.shape == second.shape == preprocessing.stored_shape
    assert first.dtype == np.uint8
    difference = np.abs(first.astype(int) - second)
    assert difference.mean() < 1
    assert difference.max() <= 8
    assert first.std() > 20


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_points_come_to_lie_on_the_layout(scale):
    """A dot drawn at each point is found where the layout wants it."""
    goal = np.array(LAYOUT) * 87
    for number in range(5):
        points = POINTS * scale
        height, width = (int(side * scale) for side in (500, 450))
        rows, columns = np.indices((height, width))
        away = (columns - points[number, 0]) ** 2 + (rows - points[number, 1]) ** 2
        image = (255 * np.exp(-away / (2 * (6 * scale) ** 2))).astype(np.uint8)
        stored = frame(image, face(points), LAYOUT, Preprocessing())[..., 0].astype(float)
        rows, columns = np.indices(stored.shape)
        found = np.array([(columns * stored).sum(), (rows * stored).sum()]) / stored.sum()
        # not exactly on it: five points cannot all be met by turning, scaling and shifting
        matrix = similarity(points.astype(float), goal)
        np.testing.assert_allclose(found, matrix[:, :2] @ points[number] + matrix[:, 2], atol=0.3)
        assert np.linalg.norm(found - goal[number]) < 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(300, 280), (1200, 1100)])
def test_it_is_what_a_training_with_points_stores(channels, size):
    image = photo(size)
    points = POINTS * (size[0] / 500)
    align = AlignFivePoints(0.7)
    preprocessing = Preprocessing(channels=channels, steps={"align": align, "crop": CentreCrop()})
    stored = preprocessing(image, points)
    framed = frame(image, face(points), preprocessing.aligned_layout, preprocessing)
    np.testing.assert_array_equal(framed, stored)


def test_steps_that_change_values_are_taken_too():
    image = photo()
    steps = {"invert": A.InvertImg(p=1.0), "align": AlignFivePoints()}
    plain = Preprocessing(steps={"align": AlignFivePoints()})
    inverted = frame(image, face(), LAYOUT, Preprocessing(steps=steps))
    np.testing.assert_array_equal(255 - inverted, frame(image, face(), LAYOUT, plain))


def test_a_box_alone_stands_for_the_points_of_a_typical_face():
    box = (120.0, 90.0, 160.0, 210.0)
    points = np.array(box[:2]) + POINTS_IN_BOX * np.array(box[2:])
    image = photo()
    by_points = frame(image, face(points.astype(np.float32)), LAYOUT, Preprocessing())
    by_box = frame(image, face(None, box), LAYOUT, Preprocessing())
    np.testing.assert_array_equal(by_box, by_points)


def test_without_a_layout_it_is_the_square_around_the_box():
    image = photo()
    preprocessing = Preprocessing(size=100, margin=0, channels=3)
    framed = frame(image, face(box=(160, 130, 140, 200)), None, preprocessing)
    expected = cv2.resize(image[130:330, 130:330], (100, 100), interpolation=cv2.INTER_AREA)
    difference = np.abs(framed.astype(int) - expected)
    assert difference.mean() < 0.5
    assert difference.max() <= 4


def test_what_lies_beyond_the_photo_is_mirrored():
    image = photo((100, 100))
    bare = Preprocessing(size=100, margin=0, channels=3)
    framed = frame(image, face(box=(-50, 0, 100, 100)), None, bare)
    np.testing.assert_array_equal(framed[:, 50:], image[:, :50])
    np.testing.assert_array_equal(framed[:, 1:50], image[:, 1:50][:, ::-1])


def test_a_small_face_in_a_large_photo_costs_what_it_shows():
    """Only what the square shows may be touched: a photo of 400 MB would else be averaged whole."""
    image = np.zeros((40_000, 10_000), np.uint8)  # never written: the system gives no memory
    image[200:300, 180:280] = 200
    started = time.process_time()
    for _ in range(20):
        frame(image, face(), LAYOUT, Preprocessing())
    assert time.process_time() - started < 1


@pytest.mark.parametrize("layout", [LAYOUT, None])
@pytest.mark.parametrize(
    "wrong",
    [
        face(np.full((5, 2), 7, np.float32), (7, 7, 0, 0)),
        face(np.full((5, 2), np.nan, np.float32), (np.nan,) * 4),
    ],
)
def test_faces_that_are_none_are_refused(layout, wrong):
    with pytest.raises(ValueError, match="face"):
        frame(photo(), wrong, layout, Preprocessing())


def test_the_layout_of_an_alignment_follows_zoom_layout_and_crop():
    assert Preprocessing(steps={"crop": CentreCrop(0.5)}).aligned_layout is None
    aligned = Preprocessing(steps={"align": AlignFivePoints(0.8)}).aligned_layout
    np.testing.assert_allclose(aligned, (STANDARD_LAYOUT - 0.5) * 0.8 + 0.5, atol=1e-6)
    own = AlignFivePoints(1.0, layout=LAYOUT)
    steps = {"align": own, "crop": CentreCrop(0.5)}
    np.testing.assert_allclose(
        Preprocessing(steps=steps).aligned_layout, (np.array(LAYOUT) - 0.5) * 2 + 0.5, atol=1e-6
    )
