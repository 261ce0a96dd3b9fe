from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from facialnet.data.alignment import STANDARD_LAYOUT, zoomed
from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import frame
from facialnet.data.faces.layout import median_layout, training_layout
from facialnet.data.manifest import LANDMARKS
from facialnet.data.transforms import AlignFivePoints, Preprocessing
from facialnet.errors import UserError

LAYOUT = zoomed(STANDARD_LAYOUT, 0.75)


class PixelsStore:
    """A store in memory."""

    def __init__(self, pixels, manifest=None):
        self._pixels = np.stack(pixels)
        self.manifest = pd.DataFrame(index=range(len(pixels))) if manifest is None else manifest

    def pixels(self, indices):
        return self._pixels[indices]


class Marks:
    """A detector that knows: the first pixel says how far the face is off the layout."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        return [self._faces(image) for image in images]

    def _faces(self, image):
        side = image.shape[0]
        value = int(image.reshape(side, side, -1)[0, 0, 0])
        if value == 0:
            return []
        points = (LAYOUT + (value - 100) / 1000) * side
        far = Face(box=(-500, -500, 400, 400), score=0.9, points=points * 0)
        return [far, Face(box=(0, 0, side, side), score=0.9, points=points.astype(np.float32))]


def filled(values, side=87, channels=1):
    return PixelsStore([np.full((side, side, channels), value, np.uint8) for value in values])


def layout_of(store, *, rows=None, preprocessing=None, detector=None):
    chosen = np.arange(len(store.manifest)) if rows is None else np.array(rows)
    make = Marks if detector is None else lambda: detector
    return training_layout(store, chosen, preprocessing or Preprocessing(), make)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_median_of_the_central_faces(channels):
    values = [*[100] * 15, *[90] * 10, *[250] * 6]  # six are far off: a mean would follow them
    found = layout_of(filled(values, channels=channels))
    np.testing.assert_allclose(found.points, LAYOUT, atol=1e-4)
    assert found.note.startswith("measured on 31 of 31 training pictures; the points stray by 0.0")
    assert [type(value) for point in found.points for value in point] == [float] * 10


def test_only_training_rows_are_looked_at_and_not_all_of_many():
    store = filled([*[200] * 300, *[100] * 300], side=8)
    detector = Marks()
    found = layout_of(store, rows=range(300, 600), detector=detector)
    np.testing.assert_allclose(found.points, LAYOUT, atol=1e-4)
    assert detector.seen == 120


@pytest.mark.parametrize(
    ("values", "looked_at"),
    [([100] * 19, 19), ([*[100] * 40, *[0] * 60], 100), ([0] * 50, 50)],
)
def test_too_few_faces_are_a_reason_not_an_error(values, looked_at):
    found = layout_of(filled(values))
    assert found.points is None
    assert found.note == f"too few faces were found in {looked_at} training pictures"


def test_without_any_face_the_search_ends_early():
    detector = Marks()
    assert layout_of(filled([0] * 400, side=8), detector=detector).points is None
    assert detector.seen == 30


@pytest.mark.parametrize("error", [UserError("install it"), RuntimeError("install it\nthen")])
def test_whatever_a_detector_raises_becomes_the_reason(error):
    def make():
        raise error

    found = training_layout(filled([100] * 30), np.arange(30), Preprocessing(), make)
    assert (found.points, found.note) == (None, "install it")


def test_no_training_rows_at_all():
    assert layout_of(filled([100] * 3), rows=np.empty(0, np.int64)).points is None


def with_points(share):
    store = filled([0] * 50)
    store.manifest = pd.DataFrame({name: np.full(50, 5.0, np.float32) for name in LANDMARKS})
    store.manifest.loc[store.manifest.index >= 50 * share, LANDMARKS[3]] = np.nan
    return store


def test_aligned_pictures_have_the_alignments_own_layout():
    aligned = Preprocessing(steps={"align": AlignFivePoints(0.65)})
    found = layout_of(with_points(0.6), preprocessing=aligned)
    np.testing.assert_allclose(found.points, zoomed(STANDARD_LAYOUT, 0.65), atol=1e-5)
    assert layout_of(with_points(0.6)).points is None  # nothing aligns them
    assert layout_of(with_points(0.4), preprocessing=aligned).points is None  # most come without


def test_points_are_medians_one_by_one():
    points = np.zeros((21, 5, 2), np.float32)
    points[:, 2, 1] = np.linspace(0, 1, 21)
    found = median_layout(list(points), looked_at=21)
    assert found.points[2] == [0, 0.5]
    assert found.points[0] == [0, 0]


def test_what_is_measured_on_framed_faces_is_how_they_were_framed(retinaface, drawn_photos):
    """Drawn photos, framed to a layout; the detector then finds them there."""
    preprocessing = Preprocessing()
    stored = [
        frame(photo, faces[0], LAYOUT, preprocessing)
        for photo, faces in zip(drawn_photos, retinaface(drawn_photos), strict=True)
        if faces
    ]
    found = layout_of(PixelsStore(stored), detector=retinaface)
    np.testing.assert_allclose(found.points, LAYOUT, atol=0.04)
    # framed once more by what was measured, a face stays where it is
    again = [
        frame(pixels[..., 0], replace(faces[0]), found.points, preprocessing)
        for pixels, faces in zip(stored, retinaface([each[..., 0] for each in stored]), strict=True)
        if faces
    ]
    difference = np.mean(
        [np.abs(a.astype(int) - b).mean() for a, b in zip(stored, again, strict=False)]
    )
    unlike = np.mean(
        [np.abs(a.astype(int) - b).mean() for a, b in zip(stored, again[1:], strict=False)]
    )
    assert difference < 0.5 * unlike
