"""Where the five points of a face lie in the pictures that a network is trained on.

A photo's face must be framed as those are: a network that has learnt from tight crops is wrong
about wide ones. The layout goes into the checkpoint; data.faces.framing brings faces to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facialnet.data.faces.choice import most_central
from facialnet.data.faces.face import Detector, Pixels, Points
from facialnet.data.manifest import LANDMARKS
from facialnet.data.store import Store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import gist

_LOOKED_AT = 120  # pictures: the median is then sure to about a hundredth of the side
_NEEDED = 20  # of them with a face, and half of all
_BATCH = 30


@dataclass(frozen=True)
class Layout:
    """A layout, and how it was found.

    Attributes:
        points: five [x, y] of right eye, left eye, nose, right and left mouth corner, in shares of
            the stored picture's side; None where they are not known.
        note: where it comes from, or why there is none, in a few words.
    """

    points: list[list[float]] | None
    note: str


def training_layout(
    store: Store,
    rows: NDArray[np.int64],
    preprocessing: Preprocessing,
    detector: Callable[[], Detector],
) -> Layout:
    """Return the layout of some pictures of a store: the alignment's own, or else measured.

    Args:
        store: prepared pictures.
        rows: those trained on, [N].
        preprocessing: that of the store.
        detector: makes the detector; called only where it is needed. An error that it raises
            becomes the note.
    """
    aligned = preprocessing.aligned_layout
    if aligned is not None and _marked(store, rows) > 0.5:
        return Layout(_plain(aligned), "as the training pictures are aligned")
    try:
        return _measured(store, rows, detector())
    except Exception as error:  # whatever it is: the training is done and must not be lost for it
        return Layout(None, gist(error))


def _measured(store: Store, rows: NDArray[np.int64], search: Detector) -> Layout:
    chosen = rows[np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows))).astype(int)]
    found: list[Points] = []
    for start in range(0, len(chosen), _BATCH):
        pictures = store.pixels(np.unique(chosen[start : start + _BATCH]))
        found += _points_in(pictures, search)
        if not found:  # drawn faces, or none at all: more of them would only cost time
            break
    return median_layout(found, looked_at=len(chosen))


def median_layout(found: list[Points], *, looked_at: int) -> Layout:
    """Return the median of each point.

    Args:
        found: five points a picture, float32 [5, 2] in shares of its side.
        looked_at: pictures that were searched.
    """
    if len(found) < max(_NEEDED, looked_at / 2):
        return Layout(None, f"too few faces were found in {looked_at} training pictures")
    points = np.stack(found)
    middle = np.median(points, axis=0)
    spread = float(np.median(np.abs(points - middle)))
    return Layout(
        _plain(middle),
        f"measured on {len(found)} of {looked_at} training pictures; the points stray by "
        f"{spread:.3f} of the side",
    )


def _points_in(pictures: Pixels, search: Detector) -> list[Points]:
    """Return the points of each picture's central face, in shares of the side."""
    side = pictures.shape[1]
    images = list(pictures[..., 0] if pictures.shape[-1] == 1 else pictures)
    central = [most_central(faces, (side, side)) for faces in search(images)]
    return [face.points / np.float32(side) for face in central if face and face.points is not None]


def _marked(store: Store, rows: NDArray[np.int64]) -> float:
    """Return the share of rows whose five points are known."""
    if not set(LANDMARKS) <= set(store.manifest.columns) or not len(rows):
        return 0.0
    return float(store.manifest[list(LANDMARKS)].iloc[rows].notna().all(axis=1).mean())


def _plain(points: Points | NDArray[np.float64]) -> list[list[float]]:
    return [[round(float(value), 5) for value in point] for point in points]
