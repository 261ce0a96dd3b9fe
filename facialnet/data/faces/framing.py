"""From a face in a photo to the pixels that a network was trained on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facialnet.data.alignment import aligning_matrix
from facialnet.data.faces.face import Face, Pixels, Points
from facialnet.data.transforms import Preprocessing

# Where the five points lie in a box that RetinaFace draws, in shares of its width and height: the
# mean over photos of LFW, taken as symmetric (tests/data/faces/test_real_detection.py).
POINTS_IN_BOX = np.array(
    [[0.27, 0.39], [0.73, 0.39], [0.5, 0.58], [0.31, 0.74], [0.69, 0.74]], np.float32
)
# Side of the square around a box, as a multiple of the box's longer side, where the layout of the
# training pictures is not known: about what the chips of UTKFace show (same test).
SQUARE_AROUND_BOX = 1.0


def frame(
    image: Pixels,
    face: Face,
    layout: Sequence[Sequence[float]] | Points | None,
    preprocessing: Preprocessing,
) -> Pixels:
    """Cut a face out of a photo so that it lies as the training's faces did.

    The points of the face are brought to the layout by turning, scaling and shifting. A face
    without points gets those that a typical face has in its box. Without a layout, the upright
    square around the box is taken, SQUARE_AROUND_BOX times as large as it.

    Args:
        image: uint8 [H, W, 3] (RGB) or [H, W].
        face: in pixels of the image.
        layout: where the five points lie in the stored picture, [5, 2] in shares of its side, as
            the checkpoint's card has it; None: not known.
        preprocessing: of the checkpoint.

    Returns:
        uint8 [stored_side, stored_side, channels]; preprocessing.network_view cuts the margin off.

    Raises:
        ValueError: the face's points coincide or are not finite, or its box is empty.
    """
    side = preprocessing.stored_side
    if layout is None:
        matrix = _square_around(face, side)
    else:
        goal = np.asarray(layout, np.float32)
        matrix = aligning_matrix(points_of(face), goal, side)
    if not np.isfinite(matrix).all():
        raise ValueError("the points of a face are not numbers, or its box is empty")
    return preprocessing.framed(image, matrix)


def points_of(face: Face) -> Points:
    """Return a face's five points, or those of a typical face in its box: float32 [5, 2]."""
    if face.points is not None:
        return face.points
    return np.array(face.box[:2], np.float32) + POINTS_IN_BOX * np.array(face.box[2:], np.float32)


def _square_around(face: Face, side: int) -> NDArray[np.float64]:
    x, y, width, height = face.box
    length = SQUARE_AROUND_BOX * max(width, height)
    if not length > 0:
        raise ValueError("the box of a face is empty")
    scale = side / length
    corner = np.array([x + width / 2, y + height / 2]) - length / 2
    # pixels are squares: the corner of the first one lies half a pixel before its centre
    offset = scale * (0.5 - corner) - 0.5
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
