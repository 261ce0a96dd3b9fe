"""Pictures in, pixels out: alignment, crop, grey, resize, and augmentation of training batches.

The only file that imports albumentations. Everything random takes its generator from outside, one
for each sample: left to itself, albumentations 2.0.8 draws the same stream in every worker.
"""

import math
import random
from collections.abc import Mapping
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.errors import UserError

# Faces are small and batches many: OpenCV's own threads would only fight with torch's.
cv2.setNumThreads(0)

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]

# Where right eye, left eye, nose and mouth corners lie in a square crop with sides of 1: the
# five-point layout of 112x112 crops that face recognition has settled on (ArcFace, InsightFace).
_LAYOUT = np.array(
    [[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]], np.float32
) / np.float32(112)


class AlignFivePoints(A.ImageOnlyTransform):  # type: ignore[misc]
    """Turn, scale and shift a face so that its five points lie in the standard layout.

    The result is a square with the side that the pipeline is called with. A picture without points
    passes unchanged.

    Args:
        zoom: size of the face against the standard layout; below 1 shows more around it.
    """

    def __init__(self, zoom: float = 0.8) -> None:
        super().__init__(p=1.0)
        self.zoom = zoom

    @property
    def targets_as_params(self) -> list[str]:
        """Name the arguments that come beside the image."""
        return ["points", "side"]

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the 2x3 matrix of the alignment, or None where there are no points."""
        points, side = data["points"], data["side"]
        if points is None or not np.isfinite(points).all():
            return {"matrix": None, "side": side}
        goal = ((_LAYOUT - 0.5) * self.zoom + 0.5) * side
        matrix = similarity(np.asarray(points, np.float64), goal.astype(np.float64))
        return {"matrix": matrix, "side": side}

    def apply(self, img: Pixels, matrix: NDArray[np.float64] | None, side: int, **_: Any) -> Pixels:
        """Warp the picture to the aligned square."""
        if matrix is None:
            return img
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        if (
            scale < 0.5
        ):  # a warp samples single pixels; averaging first keeps fine detail from aliasing
            sides = [max(1, round(2 * scale * length)) for length in img.shape[1::-1]]
            shrunk = _resize(img, (sides[0], sides[1]), cv2.INTER_AREA)
            factors = np.array(img.shape[1::-1]) / shrunk.shape[1::-1]
            # pixel x of the shrunk picture is centred on factor * (x + 0.5) - 0.5 of the picture
            offset = matrix[:, 2] + matrix[:, :2] @ (0.5 * factors - 0.5)
            matrix = np.column_stack([matrix[:, :2] * factors, offset])
            img = shrunk
        return np.asarray(
            cv2.warpAffine(img, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101), np.uint8
        )


def _resize(image: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


def similarity(source: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 2x3 matrix that turns, scales and shifts points [N, 2] closest to the goal.

    Least squares in closed form (Umeyama 1991, for the plane, without reflection).
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


class CentreCrop(A.ImageOnlyTransform):  # type: ignore[misc]
    """Keep the centred square whose side is a share of the picture's shorter side.

    Args:
        share: in (0, 1]; 1 keeps the largest centred square.
    """

    def __init__(self, share: float = 1.0) -> None:
        super().__init__(p=1.0)
        if not 0 < share <= 1:
            raise UserError(f"preprocess.steps: CentreCrop share={share} must lie in (0, 1]")
        self.share = share

    def apply(self, img: Pixels, **_: Any) -> Pixels:
        """Cut the square out."""
        return _centred_square(img, self.share)[0]


def _centred_square(image: Pixels, share: float) -> tuple[Pixels, int, int]:
    """Return the square, and how many pixels lie left of it and above."""
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * share))
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side], left, top


class Preprocessing:
    """The fixed way from a decoded picture to stored pixels, and from those to the network's view.

    Stored pixels have a margin beyond the network's input on every side, so that shifts, turns and
    zooms of the augmentation show real pixels instead of a made-up border.

    Args:
        size: side of the network's input in pixels.
        margin: pixels kept beyond it on every side.
        channels: 1 for grey, 3 for colour (RGB).
        steps: albumentations transforms before the final resize, in order; the names are only for
            overriding them one by one. They get ``image``, ``points`` (five points or None) and
            ``side`` (that of the stored pixels).
    """

    def __init__(
        self,
        *,
        size: int = 75,
        margin: int = 6,
        channels: int = 1,
        steps: Mapping[str, A.BasicTransform | None] | None = None,
    ) -> None:
        if channels not in (1, 3):
            raise UserError(f"preprocess.channels={channels}: allowed values are 1 (grey), 3 (RGB)")
        if size < 8 or margin < 0:
            raise UserError(
                f"preprocess: size={size} must be at least 8, margin={margin} at least 0"
            )
        self.size = size
        self.margin = margin
        self.channels = channels
        chosen = [step for step in (steps or {}).values() if step is not None]
        self._pipeline = A.Compose(chosen)

    @property
    def stored_side(self) -> int:
        """Side of the stored pixels."""
        return self.size + 2 * self.margin

    @property
    def stored_shape(self) -> tuple[int, int, int]:
        """Shape [H, W, C] of one stored picture."""
        return (self.stored_side, self.stored_side, self.channels)

    @property
    def decoded_side(self) -> int:
        """Pixels that a picture's shorter side needs, so that what a crop leaves is still large."""
        shares = [step.share for step in self._pipeline.transforms if isinstance(step, CentreCrop)]
        return math.ceil(2 * self.stored_side / math.prod(shares))

    def __call__(
        self, image: Pixels, points: Points | None = None, crop: float | None = None
    ) -> Pixels:
        """Turn one picture into stored pixels.

        Args:
            image: uint8 [H, W] or [H, W, 3], RGB.
            points: float32 [5, 2], x and y of the five points in pixels of ``image``.
            crop: share, in (0, 1], of the centred square that goes through the steps; None: all of
                the picture.

        Returns:
            uint8 [stored_side, stored_side, channels].
        """
        if self.channels == 1 and image.ndim == 3:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        elif self.channels == 3 and image.ndim == 2:
            image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
        if crop is not None:
            image, left, top = _centred_square(image, crop)
            points = None if points is None else points - np.array([left, top], np.float32)
        side = self.stored_side
        image = self._pipeline(image=image, points=points, side=side)["image"]
        if image.shape[:2] != (side, side):
            shrinks = image.shape[0] >= side and image.shape[1] >= side
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            image = _resize(image, (side, side), how)
        return image.reshape(self.stored_shape)

    def network_view(self, stored: Pixels) -> Pixels:
        """Cut the margin off, without a copy: uint8 [N, side, side, C] to [N, size, size, C]."""
        end = self.margin + self.size
        return stored[:, self.margin : end, self.margin : end]


class Augmentation:
    """Random changes to training faces, a pure function of (seed, epoch, index).

    Args:
        steps: albumentations transforms, in order, applied to stored pixels before the margin is
            cut off; the names are only for overriding them one by one. None or empty: no change.
    """

    def __init__(self, *, steps: Mapping[str, A.BasicTransform | None] | None = None) -> None:
        chosen = [step for step in (steps or {}).values() if step is not None]
        self._pipeline = A.Compose(chosen) if chosen else None

    def __call__(self, stored: Pixels, *, seed: int, epoch: int, indices: list[int]) -> Pixels:
        """Return the changed pictures.

        Args:
            stored: uint8 [N, H, W, C].
            seed: seed of the run.
            epoch: from 0.
            indices: the pictures' positions in the data set, [N].
        """
        if self._pipeline is None:
            return stored
        changed = np.empty_like(stored)
        for row, index in enumerate(indices):
            key = np.random.default_rng([seed, epoch, index])
            # One shared stream: a seed for each transform would give all of them the same draws.
            self._pipeline.set_random_state(key, random.Random(int(key.integers(2**63))))
            changed[row] = self._pipeline(image=stored[row])["image"]
        return changed
