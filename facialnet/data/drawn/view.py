"""A head as a shot sees it: features turn with the head before they reach the canvas."""

from dataclasses import dataclass

import numpy as np

from facialnet.data.drawn.canvas import Array, Canvas, Colour, Mask, Points
from facialnet.data.drawn.people import Person
from facialnet.data.drawn.shot import Shot

_RADIUS = 1.15  # of the cylinder that features lie on, in units of half a face


@dataclass(frozen=True)
class View:
    """A person in a shot on a canvas; ``head`` is the mask of the head's outline [n, 2]."""

    person: Person
    shot: Shot
    canvas: Canvas
    outline: Array
    head: Mask

    def turn(self, points: Points, depth: float = 1.0) -> Array:
        """Return points of the face [n, 2] after the head's yaw and pitch.

        A depth above 1 lies in front of the face's surface, as the tip of the nose does.
        """
        flat = np.asarray(points, dtype=np.float64)
        angle = np.arcsin(np.clip(flat[:, 0] / _RADIUS, -0.98, 0.98))
        near = (depth - 1) * np.sin(self.shot.yaw)
        x = _RADIUS * np.sin(angle + 0.75 * self.shot.yaw) + near
        return np.stack([x, flat[:, 1] + depth * self.shot.pitch], axis=1)

    def fill(
        self,
        points: Points,
        colour: Colour,
        *,
        alpha: float = 1.0,
        blur: float = 0.0,
        depth: float = 1.0,
        within: Mask | None = None,
    ) -> None:
        """Fill a polygon of the face, never outside the head."""
        mask = self.head if within is None else within
        self.canvas.fill(self.turn(points, depth), colour, alpha=alpha, blur=blur, within=mask)

    def line(
        self,
        points: Points,
        colour: Colour,
        *,
        width: float,
        alpha: float = 1.0,
        blur: float = 0.0,
        depth: float = 1.0,
        within: Mask | None = None,
    ) -> None:
        """Draw a line on the face, never outside the head."""
        mask = self.head if within is None else within
        turned = self.turn(points, depth)
        self.canvas.line(turned, colour, width=width, alpha=alpha, blur=blur, within=mask)
