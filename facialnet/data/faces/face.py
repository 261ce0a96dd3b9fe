"""What a detector finds: a face's box, how sure it is, and five points."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Face:
    """One face in a picture.

    Attributes:
        box: x and y of the upper left corner, width and height, in pixels of the picture; may reach
            beyond its border.
        score: how sure the detector is, in [0, 1].
        points: float32 [5, 2], x and y of right eye, left eye, nose, right and left mouth corner in
            pixels of the picture; right is the person's right, left in the picture. None where only
            the box is known.
    """

    box: tuple[float, float, float, float]
    score: float
    points: Points | None

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return self.box[2] * self.box[3]


class Detector(Protocol):
    """Finds the faces in pictures."""

    def __call__(self, images: Sequence[Pixels]) -> list[list[Face]]:
        """Return the faces of each picture, largest first.

        Args:
            images: uint8 [H, W, 3] (RGB) or [H, W] (grey), of any sizes.
        """
        ...
