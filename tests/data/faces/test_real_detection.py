"""The detector and the constants of framing, on real faces."""

import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from facialnet.data.decode import decode
from facialnet.data.faces.choice import most_central
from facialnet.data.faces.framing import POINTS_IN_BOX, SQUARE_AROUND_BOX

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lfw(shared, tmp_path_factory):
    """Two hundred photos of as many people, 250x250."""
    folder = tmp_path_factory.mktemp("lfw")
    with tarfile.open(shared / "data" / "lfw.tar") as archive:
        names = sorted(name for name in archive.getnames() if name.endswith("_0001.jpg"))
        for name in names[:: len(names) // 200][:200]:
            archive.extract(name, folder, filter="data")
    return [decode(path, grey=False, shortest=10_000)[0] for path in sorted(folder.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def faces(lfw, retinaface):
    found = [
        most_central(each, photo.shape) for each, photo in zip(retinaface(lfw), lfw, strict=True)
    ]
    return [face for face in found if face is not None]


def rate(found):
    return np.mean([bool(each) for each in found])


def test_faces_of_photos_are_found(lfw, faces):
    assert len(lfw) == 200
    assert len(faces) / len(lfw) >= 0.99


@pytest.mark.parametrize("degrees", [30, 60])
def test_turned_faces_are_found_with_turned_points(lfw, retinaface, degrees):
    centre = (124.5, 124.5)
    matrix = cv2.getRotationMatrix2D(centre, degrees, 1)
    photos = lfw[:60]
    turned = [
        cv2.warpAffine(photo, matrix, (250, 250), borderMode=cv2.BORDER_REFLECT_101)
        for photo in photos
    ]
    found = retinaface(turned)
    assert rate(found) >= 0.98
    strays = []
    for upright, other in zip(retinaface(photos), found, strict=True):
        if upright and other:
            points = most_central(upright, (250, 250)).points
            expected = points @ matrix[:, :2].T + matrix[:, 2]
            eyes = np.linalg.norm(points[0] - points[1])
            strays.append(np.abs(most_central(other, (250, 250)).points - expected).mean() / eyes)
    assert np.median(strays) < 0.12


@pytest.mark.parametrize("side", [32, 48, 96])
def test_small_pictures_of_faces(lfw, retinaface, side):
    small = [
        cv2.resize(photo[60:190, 60:190], (side, side), interpolation=cv2.INTER_AREA)
        for photo in lfw[:100]
    ]
    assert rate(retinaface(small)) >= 0.98


def test_background_is_no_face(lfw, retinaface):
    assert rate(retinaface([photo[:60, :60] for photo in lfw[:100]])) <= 0.05


def test_where_points_lie_in_a_box(faces):
    boxes = np.array([face.box for face in faces])
    points = np.array([face.points for face in faces])
    shares = ((points - boxes[:, None, :2]) / boxes[:, None, 2:]).mean(0)
    np.testing.assert_allclose(shares, POINTS_IN_BOX, atol=0.03)


def test_the_square_around_a_box_is_about_a_chip_of_utkface(utkface_root: Path, retinaface):
    chips = [
        decode(path, grey=False, shortest=10_000)[0]
        for path in sorted(utkface_root.glob("*.jpg"))[::40]
    ]
    found = retinaface(chips)
    assert rate(found) >= 0.98
    sides = [
        chip.shape[0] / max(most_central(each, chip.shape).box[2:])
        for chip, each in zip(chips, found, strict=True)
        if each
    ]
    assert np.median(sides) == pytest.approx(SQUARE_AROUND_BOX, abs=0.1)
