"""Bringing pictures to the sizes that a detector is fast and sure at."""

from dataclasses import replace

import cv2
import numpy as np

from facialnet.data.faces.face import Face, Pixels


def resized(image: Pixels, *, longest: int, smallest: int) -> tuple[Pixels, float]:
    """Return a picture within limits, and the factor that it was resized by.

    Args:
        image: uint8 [H, W] or [H, W, 3].
        longest: its longer side is reduced to this many pixels.
        smallest: its longer side is enlarged to this many pixels.
    """
    height, width = image.shape[:2]
    side = max(height, width)
    factor = min(1.0, longest / side) if side >= smallest else smallest / side
    if factor == 1:
        return image, 1.0
    size = max(1, round(width * factor)), max(1, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8), factor


def scaled(face: Face, factor: float) -> Face:
    """Return a face of a picture that was resized by a factor in pixels of the picture itself."""
    if factor == 1:
        return face
    x, y, width, height = (value / factor for value in face.box)
    points = None if face.points is None else (face.points / np.float32(factor))
    return replace(face, box=(x, y, width, height), points=points)
