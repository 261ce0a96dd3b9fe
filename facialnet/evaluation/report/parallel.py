"""Parallel coordinates: one axis a setting, one line a trial, the last axis what it reached."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from facialnet.evaluation.report.charts import (
    HALO,
    INK,
    MUTED,
    RANKS,
    SERIES,
    chart_axes,
    svg_of,
)
from facialnet.evaluation.report.importance import is_number, spans_decades

_FEW = 7  # different numbers that each get a tick of their own
_CLOSE = 0.055  # ticks nearer than this share of an axis would be written over one another
_SPREAD = 0.022  # how far lines through one value lie apart at most
_INCHES = 1.6  # of width for each axis

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """An axis: where each trial lies on it, from 0 to 1, and its ticks."""

    places: Floats
    ticks: list[tuple[float, str]]


def parallel_chart(
    settings: Mapping[str, Sequence[Any]],
    scores: Sequence[float],
    finished: Sequence[bool],
    *,
    title: str,
    score: str,
) -> str:
    """Draw every trial as a line through its settings to its score, the best one highlighted.

    Lines are coloured by the quarter in which their score ranks; trials that were not finished are
    dashed, and never the best.

    Args:
        settings: name of each axis to its value in each trial.
        scores: what each trial reached, shares.
        finished: whether it came to its end; one at least.
        title: what is drawn, for those who have it read out.
        score: name of the last axis.
    """
    scales = {name: scale_of(values) for name, values in settings.items()}
    scales[score] = score_scale(scores)
    heights = np.stack([_apart(scale, scores) for scale in scales.values()], 1)
    axes = chart_axes("", size=(max(9.0, _INCHES * len(scales)), 3.9))  # the page has a heading
    order = sorted(range(len(scores)), key=lambda number: scores[number])
    best = max((n for n in order if finished[n]), key=lambda number: scores[number])
    for rank, number in enumerate(order):
        if number == best:
            continue
        quarter = len(RANKS) * rank // len(scores)
        colour = RANKS[quarter] if finished[number] else MUTED
        _draw_line(axes, heights[number], colour, dashed=not finished[number])
    _draw_line(axes, heights[best], SERIES[1], width=2.6)
    axes.plot(range(len(scales)), heights[best], "o", color=SERIES[1], markersize=4.5, zorder=4)
    _draw_scales(axes, scales)
    return svg_of(axes, title)


def scale_of(values: Sequence[Any]) -> Scale:
    """Return the axis of a setting: logarithmic for positive numbers over a decade or more.

    Anything but numbers are categories, evenly spaced, in the order of the numbers in their names.
    """
    if not is_number(values):
        names = sorted({str(value) for value in values}, key=_natural)
        place = {name: number / max(len(names) - 1, 1) for number, name in enumerate(names)}
        heights = np.array([place[str(value)] for value in values])
        return Scale(heights, [(at, name) for name, at in place.items()])
    numbers = np.array(values, np.float64)
    logarithmic = spans_decades(values)
    low, high = float(numbers.min()), float(numbers.max())

    def place_of(number: float) -> float:
        if logarithmic:
            return math.log(number / low) / math.log(high / low)
        return (number - low) / ((high - low) or 1)

    several, digits = sorted(set(numbers.tolist())), 4
    if len(several) > _FEW:
        several, digits = _between(low, high, logarithmic), 2
    ticks = _thinned([(place_of(number), f"{number:.{digits}g}") for number in several])
    return Scale(np.array([place_of(number) for number in numbers.tolist()]), ticks)


def score_scale(scores: Sequence[float]) -> Scale:
    """Return the axis of the scores in per cent."""
    low, high = min(scores), max(scores)
    reach = (high - low) or 1.0
    ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(100 * low, 100 * high)
    marks = [((tick / 100 - low) / reach, f"{tick:g} %") for tick in ticks]
    places = np.array([(value - low) / reach for value in scores])
    return Scale(places, [mark for mark in marks if -1e-9 <= mark[0] <= 1 + 1e-9])


def _between(low: float, high: float, logarithmic: bool) -> list[float]:
    """Return the ends of an axis and round numbers between them."""
    if logarithmic:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        round_ones = [10.0**power for power in powers]
    else:
        round_ones = [
            float(tick) for tick in MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(low, high)
        ]
    return [low, *(number for number in round_ones if low < number < high), high]


def _thinned(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Leave out ticks that come too close to the one before; the two ends stay."""
    kept = [ticks[0]]
    for tick in ticks[1:]:
        if tick[0] - kept[-1][0] < _CLOSE:
            if tick is not ticks[-1]:
                continue
            if len(kept) > 1:
                kept.pop()
        kept.append(tick)
    return kept


def _natural(name: str) -> tuple[list[float], str]:
    """Order names by the numbers in them, so that [64] comes before [128, 64]."""
    return [float(number) for number in re.findall(r"\d+\.?\d*", name)], name


def _apart(scale: Scale, scores: Sequence[float]) -> Floats:
    """Part lines that meet in one place, the better ones above, so that each can be followed."""
    heights = scale.places.copy()
    for place in np.unique(scale.places):
        here = np.flatnonzero(scale.places == place)
        order = here[np.argsort(np.asarray(scores)[here], kind="stable")]
        width = min(_SPREAD, 0.006 * (len(here) - 1))
        heights[order] += np.linspace(-width, width, len(here)) if len(here) > 1 else 0.0
    return heights


def _draw_line(
    axes: Axes, heights: Floats, colour: str, *, width: float = 1.3, dashed: bool = False
) -> None:
    """Draw one trial, level where it crosses an axis."""
    points = [(0.0, float(heights[0]))]
    for place, (here, there) in enumerate(pairwise(heights.tolist())):
        points += [(place + 0.4, here), (place + 0.6, there), (place + 1.0, there)]
    codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
    axes.add_patch(
        PathPatch(
            Path(points, codes),
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=(0, (3, 2)) if dashed else "solid",
            zorder=3 if width > 2 else 2,
        )
    )


def _draw_scales(axes: Axes, scales: Mapping[str, Scale]) -> None:
    """Draw the axes over the lines, with their ticks and names."""
    for place, (name, scale) in enumerate(scales.items()):
        axes.plot([place, place], [0, 1], color=MUTED, linewidth=1, zorder=3.5)
        axes.annotate(
            name,
            (place, 1),
            xytext=(0, 12),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            color=INK,
            parse_math=False,
        )
        for at, text in scale.ticks:
            axes.plot([place - 0.02, place + 0.02], [at, at], color=MUTED, linewidth=1, zorder=3.5)
            axes.annotate(
                text,
                (place, at),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=INK,
                zorder=5,
                gid=HALO,
                parse_math=False,
            )
    axes.set(xlim=(-0.15, len(scales) - 0.55), ylim=(-0.06, 1.06), xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
