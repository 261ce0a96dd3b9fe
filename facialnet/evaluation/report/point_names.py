"""Names beside the points of a chart, placed so that they cover one another as little as can be."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

_LONGEST = 28  # characters of a name; longer ones leave a chart no room
_SIZE = 8  # of the letters, in points
_WIDE, _HIGH = 0.56 * _SIZE, 1.15 * _SIZE  # of a letter, on average
_RADIUS = 4.5  # of a point, with some air

Box = tuple[float, float, float, float]
# Where a name may stand, as (offset of its left, middle or right end, offset of its middle height).
_PLACES = [
    ("left", 5.0, 7.0),
    ("left", 6.0, 0.0),
    ("left", 5.0, -7.0),
    ("center", 0.0, 10.0),
    ("center", 0.0, -10.0),
    ("right", -6.0, 0.0),
    ("right", -5.0, 7.0),
    ("right", -5.0, -7.0),
    ("left", 5.0, 15.0),
    ("left", 5.0, -15.0),
    ("right", -5.0, 15.0),
    ("right", -5.0, -15.0),
    ("left", 14.0, 23.0),
    ("left", 14.0, -23.0),
]


def name_points(
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    colours: Sequence[str],
    *,
    line: Sequence[tuple[float, float]] = (),
    gid: str,
) -> None:
    """Write a name beside each point; call it when the axes' limits and scales are settled.

    One name after the other takes the place that covers least of the points, of a line and of the
    names that stand already; what hangs out of the axes counts as covered.

    Args:
        axes: where the points are drawn.
        points: their places and names.
        colours: of the names.
        line: corners of a line that goes up and to the right.
        gid: what the names are marked by in the SVG.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # settles the layout
    to_points = 72 / axes.figure.dpi
    at = to_points * axes.transData.transform([(x, y) for x, y, _ in points])
    corners = to_points * axes.transData.transform(np.reshape([*line], (-1, 2)))
    window = axes.get_window_extent()
    low, high = to_points * window.p0, to_points * window.p1
    frame = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    dots = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y in at]
    dots += [(a[0] - 1, a[1] - 1, b[0] + 1, b[1] + 1) for a, b in pairwise(corners)]
    taken: list[Box] = []
    for (x, y, name), colour, place in zip(points, colours, at, strict=True):
        text = name if len(name) <= _LONGEST else f"{name[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}"
        boxes = [_box(place, text, *where) for where in _PLACES]
        costs = [_covered(box, [*dots, *taken]) + 3 * _outside(box, frame) for box in boxes]
        best = int(np.argmin(costs))
        taken.append(boxes[best])
        side, right, up = _PLACES[best]
        axes.annotate(
            text,
            (x, y),
            xytext=(right, up),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=_SIZE,
            color=colour,
            gid=gid,
            parse_math=False,
        )


def _box(at: NDArray[np.float64], text: str, side: str, right: float, up: float) -> Box:
    wide = _WIDE * len(text)
    left = at[0] + right - {"left": 0.0, "center": 0.5, "right": 1.0}[side] * wide
    middle = at[1] + up
    return left, middle - _HIGH / 2, left + wide, middle + _HIGH / 2


def _covered(box: Box, others: Sequence[Box]) -> float:
    """Return how much of a box others cover, in square points."""
    return sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in others
    )


def _outside(box: Box, frame: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _covered(box, [frame])
