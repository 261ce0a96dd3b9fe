"""Pictures in, pixels out: alignment, crop, grey, resize, and augmentation of training batches.

The only file that imports albumentations. Everything random takes its generator from outside, one
for each sample: left to itself, albumentations 2.0.8 draws the same stream in every worker.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.data.alignment import (
    STANDARD_LAYOUT,
    Pixels,
    Points,
    aligning_matrix,
    warp,
    zoomed,
)
from facialnet.errors import UserError

# Faces are small and batches many: OpenCV's own threads would only fight with torch's.
cv2.setNumThreads(0)


class AlignFivePoints(A.ImageOnlyTransform):  # type: ignore[misc]
    """Turn, scale and shift a face so that its five points lie in a layout.

    The result is a square with the side that the pipeline is called with. A picture without points
    passes unchanged.

    Args:
        zoom: size of the face against the layout; below 1 shows more around it.
        layout: x and y of five points in shares of the side, [5, 2]; None: the standard layout.
    """

    def __init__(self, zoom: float = 0.8, layout: Sequence[Sequence[float]] | None = None) -> None:
        super().__init__(p=1.0)
        if not zoom > 0:
            raise UserError(f"preprocess.steps: AlignFivePoints zoom={zoom} must be above 0")
        self.zoom = zoom
        self.layout = STANDARD_LAYOUT if layout is None else np.array(layout, np.float32)
        if self.layout.shape != (5, 2):
            raise UserError("preprocess.steps: AlignFivePoints layout must be five pairs [x, y]")

    @property
    def goal(self) -> Points:
        """Where the points come to lie: float32 [5, 2], in shares of the side."""
        return zoomed(self.layout, self.zoom)

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
        return {"matrix": aligning_matrix(points, self.goal, side), "side": side}

    def apply(self, img: Pixels, matrix: NDArray[np.float64] | None, side: int, **_: Any) -> Pixels:
        """Warp the picture to the aligned square."""
        return img if matrix is None else warp(img, matrix, side)


def _resize(image: Pixels, size: tuple[int, int], interpolation: int) -> Pixels:
    return np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)


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
        others = [step for step in chosen if not isinstance(step, AlignFivePoints | CentreCrop)]
        self._others = A.Compose(others) if others else None

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
        image = self._in_channels(image)
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

    def framed(self, image: Pixels, matrix: NDArray[np.float64]) -> Pixels:
        """Turn the part of a picture that a 2x3 matrix takes to the stored square into pixels.

        The steps that only change values, such as CLAHE, follow; the matrix stands for those that
        align and crop. Image and result as for calling it.
        """
        square = warp(self._in_channels(image), matrix, self.stored_side)
        if self._others is not None:
            square = self._others(image=square)["image"]
        return np.asarray(square, np.uint8).reshape(self.stored_shape)

    @property
    def aligned_layout(self) -> Points | None:
        """Where the five points of a picture that has them lie in the stored one.

        Float32 [5, 2], in shares of the side; None where nothing aligns them.
        """
        layout = None
        for step in self._pipeline.transforms:
            if isinstance(step, AlignFivePoints):
                layout = step.goal
            elif isinstance(step, CentreCrop) and layout is not None:
                layout = zoomed(layout, 1 / step.share)
        return layout

    def _in_channels(self, image: Pixels) -> Pixels:
        if self.channels == 1 and image.ndim == 3:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        if self.channels == 3 and image.ndim == 2:
            return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
        return image

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
