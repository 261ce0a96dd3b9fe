"""A canvas for drawn pictures: smooth shapes in face units, blended onto pixels."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.uint8]
Colour = tuple[float, float, float]  # RGB, each 0 to 255
Points = Sequence[tuple[float, float]] | Array

_SHIFT = 4  # cv2 draws with 1/16 pixel
_STEPS = np.linspace(0, 1, 8, endpoint=False)
_CATMULL_ROM = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
_WEIGHTS = np.stack([_STEPS**power for power in range(4)], axis=1) @ _CATMULL_ROM


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour that lies the given share (0 to 1) of the way from first to second."""
    mixed = [one + (two - one) * share for one, two in zip(first, second, strict=True)]
    return (mixed[0], mixed[1], mixed[2])


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made darker (factor below 1) or lighter (above 1)."""
    return (
        min(colour[0] * factor, 255),
        min(colour[1] * factor, 255),
        min(colour[2] * factor, 255),
    )


def spline(points: Points, *, closed: bool = True) -> Array:
    """Return a Catmull-Rom curve through control points [n, 2] as points [m, 2]."""
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([knots[:1], knots, knots[-1:]])
    windows = np.stack([padded[shift : len(padded) - 3 + shift] for shift in range(4)])
    curve = np.einsum("sk,knd->nsd", _WEIGHTS, windows).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def mirrored(points: Points) -> Array:
    """Return the points followed by their mirror images, so that a right half becomes a whole."""
    right = np.asarray(points, dtype=np.float64)
    left = right[::-1] * (-1, 1)
    return np.concatenate([right, left[left[:, 0] < -1e-9]])


def moved(points: Points, x: float, y: float) -> Array:
    """Return the points [n, 2], each moved by (x, y)."""
    placed: Array = np.asarray(points, dtype=np.float64) + np.array((x, y))
    return placed


def ellipse(x: float, y: float, width: float, height: float) -> Array:
    """Return 24 points [24, 2] on an ellipse of the given half width and half height."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


class Canvas:
    """Pixels [size, size, 3] of RGB float32 (0 to 255), drawn on in units of the face.

    A unit is half the width of a face; the origin lies between the eyes, y points down.
    """

    def __init__(
        self, pixels: NDArray[np.float32], *, unit: float, x: float, y: float, tilt: float
    ) -> None:
        self.pixels = pixels
        self.unit = unit  # pixels
        self._origin = np.array([x, y])  # pixels
        cos, sin = np.cos(tilt), np.sin(tilt)
        self._turned = unit * np.array([[cos, sin], [-sin, cos]])

    def fill(
        self,
        points: Points,
        colour: Colour,
        *,
        alpha: float = 1.0,
        blur: float = 0.0,
        within: Mask | None = None,
    ) -> None:
        """Fill a polygon [n, 2]; blur is the softness of its edge in face units."""
        self._blend(self._pixel_points(points), colour, alpha, blur, within, thickness=0)

    def line(
        self,
        points: Points,
        colour: Colour,
        *,
        width: float,
        alpha: float = 1.0,
        blur: float = 0.0,
        within: Mask | None = None,
    ) -> None:
        """Draw an open line through points [n, 2]; width and blur in face units."""
        thickness = max(1, round(width * self.unit))
        self._blend(self._pixel_points(points), colour, alpha, blur, within, thickness=thickness)

    def mask(self, *shapes: Points) -> Mask:
        """Return a mask [size, size] uint8, 255 inside any of the polygons."""
        mask = np.zeros(self.pixels.shape[:2], dtype=np.uint8)
        for points in shapes:
            fixed = np.round(self._pixel_points(points) * 2**_SHIFT).astype(np.int32)
            cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
        return mask

    def _pixel_points(self, points: Points) -> Array:
        placed: Array = np.asarray(points, dtype=np.float64) @ self._turned + self._origin
        return placed

    def _blend(
        self,
        points: Array,
        colour: Colour,
        alpha: float,
        blur: float,
        within: Mask | None,
        thickness: int,
    ) -> None:
        # Only the box around the shape is touched: most shapes are a small part of the picture.
        radius = round(blur * self.unit)
        margin = 2 * radius + thickness + 2
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
        high = np.ceil(points.max(axis=0)).astype(int) + margin
        high = np.minimum(high, np.array(self.pixels.shape[1::-1]))
        if (high <= low).any() or alpha <= 0:
            return
        mask = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
        fixed = np.round((points - low) * 2**_SHIFT).astype(np.int32)
        if thickness:
            cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, _SHIFT)
        else:
            cv2.fillPoly(mask, [fixed], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
        if radius:
            # Two box filters make nearly a Gaussian at a cost that does not grow with the radius.
            box = (2 * radius + 1, 2 * radius + 1)
            mask = cv2.blur(cv2.blur(mask, box), box)
        box_slice = (slice(low[1], high[1]), slice(low[0], high[0]))
        if within is not None:
            mask = cv2.multiply(mask, within[box_slice], scale=1 / 255)
        share = mask[..., None] * np.float32(alpha / 255)
        area = self.pixels[box_slice]
        area += (np.asarray(colour, dtype=np.float32) - area) * share
