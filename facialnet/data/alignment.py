"""Where the five points of a face lie, and the transform that brings them there."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]

# Where right eye, left eye, nose and mouth corners lie in a square crop with sides of 1: the
# five-point layout of 112x112 crops that face recognition has settled on (ArcFace, InsightFace).
STANDARD_LAYOUT = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float32
) / np.float32(112)


def zoomed(layout: Points, zoom: float) -> Points:
    """Return a layout, in shares of the side, about whose centre the face is larger by a factor."""
    return (layout - np.float32(0.5)) * np.float32(zoom) + np.float32(0.5)


def similarity(source: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 2x3 matrix that turns, scales and shifts points [N, 2] closest to the goal.

    Least squares in closed form (Umeyama 1991, for the plane, without reflection). Raises
    ValueError where the points coincide.
    """
    centre_s, centre_g = source.mean(0), goal.mean(0)
    s, g = source - centre_s, goal - centre_g
    spread = (s**2).sum()
    if spread == 0:
        raise ValueError("the points of a face coincide")
    a = (s * g).sum() / spread
    b = (s[:, 0] * g[:, 1] - s[:, 1] * g[:, 0]).sum() / spread
    turn = np.array([[a, -b], [b, a]])
    return np.hstack([turn, (centre_g - turn @ centre_s)[:, None]])


def aligning_matrix(points: Points, layout: Points, side: int) -> NDArray[np.float64]:
    """Return the 2x3 matrix that brings a face's points to a layout in a square.

    Args:
        points: float32 [5, 2] in pixels of the picture.
        layout: float32 [5, 2] in shares of the square's side.
        side: of the square in pixels.
    """
    return similarity(np.asarray(points, np.float64), (layout * side).astype(np.float64))


def warp(image: Pixels, matrix: NDArray[np.float64], side: int) -> Pixels:
    """Return the square [side, side] or [side, side, 3] that a 2x3 matrix takes a picture to.

    What lies beyond the picture's border is mirrored.
    """
    image, matrix = _needed_part(image, matrix, side)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:  # a warp samples single pixels; averaging first keeps detail from aliasing
        sides = [max(1, round(2 * scale * length)) for length in image.shape[1::-1]]
        shrunk = np.asarray(cv2.resize(image, sides, interpolation=cv2.INTER_AREA), np.uint8)
        factors = np.array(image.shape[1::-1]) / shrunk.shape[1::-1]
        # pixel x of the shrunk picture is centred on factor * (x + 0.5) - 0.5 of the picture
        offset = matrix[:, 2] + matrix[:, :2] @ (0.5 * factors - 0.5)
        matrix = np.column_stack([matrix[:, :2] * factors, offset])
        image = shrunk
    return np.asarray(
        cv2.warpAffine(image, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def _needed_part(
    image: Pixels, matrix: NDArray[np.float64], side: int
) -> tuple[Pixels, NDArray[np.float64]]:
    """Return the part of a picture that a square shows, and the matrix from there to the square.

    A face is often small in a large photo, and all of it would have to be averaged.
    """
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    places = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    slack = 3 + 3 / np.hypot(matrix[0, 0], matrix[1, 0])  # for averaging and interpolation
    size = np.array(image.shape[1::-1])
    left, top = np.clip(np.floor(places.min(0) - slack), 0, size - 1).astype(int)
    right, bottom = np.clip(np.ceil(places.max(0) + slack), (left + 1, top + 1), size).astype(int)
    moved = np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (left, top)])
    return image[top:bottom, left:right], moved
