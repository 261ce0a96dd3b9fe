"""Small charts for pages, as SVG that takes the page's colours and letters."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, PercentFormatter

from facialnet.evaluation.report.point_names import name_points

# Stand-ins: an SVG on a page gets the page's own colours, which follow light and dark.
INK, MUTED, GRID, CARD = "#000101", "#000102", "#000103", "#000104"
SERIES = ("#000201", "#000202", "#000203")
RANKS = ("#000301", "#000302", "#000303", "#000304")  # from the worst quarter to the best
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    CARD: "--card",
    **{colour: f"--series-{n}" for n, colour in enumerate(SERIES, 1)},
    **{colour: f"--rank-{n}" for n, colour in enumerate(RANKS, 1)},
}
# Letters with a rim in the colour of the ground; matplotlib's own rim would make outlines of them.
HALO = "halo"
_RIM = f"paint-order: stroke; stroke: {CARD}; stroke-width: 2.5; stroke-linejoin: round"
_SIZE = (3.6, 2.5)  # inches; two to four stand side by side
Curve = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class CostPoint:
    """One network in a picture of accuracy against cost."""

    name: str
    cost: float
    accuracy: float
    front: bool


def curves_chart(
    curves: Mapping[str, Sequence[Curve]], *, title: str, percent: bool = False, log: bool = False
) -> str:
    """Draw curves over epochs; several of one name, as of several folds, share a colour.

    Args:
        curves: name to curves, each the epochs and the values.
        title: above the chart; what is drawn.
        percent: whether values are shares, shown in per cent.
        log: whether the values' axis is logarithmic.
    """
    axes = chart_axes(title)
    for (name, several), colour in zip(curves.items(), SERIES, strict=False):
        for number, (epochs, values) in enumerate(several):
            axes.plot(
                epochs,
                values,
                color=colour,
                linewidth=1.8 if len(several) == 1 else 1.0,
                alpha=1 if len(several) == 1 else 0.7,
                marker="o" if len(epochs) == 1 else None,
                label=name if number == 0 else None,
            )
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    last = max(epochs[-1] for several in curves.values() for epochs, _ in several)
    if last <= 1:  # a single epoch would be given ticks of hundredths
        axes.set_xlim(0, 2)
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    if log:
        axes.set_yscale("log")
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return svg_of(axes, title)


def reliability_chart(bins: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Draw accuracy against confidence, and below how many images have each confidence.

    Args:
        bins: records with ``low``, ``high``, ``images``, ``confidence`` and ``accuracy``, the last
            two None where a bin is empty.
        title: above the chart.
    """
    axes = chart_axes(title)
    full = [entry for entry in bins if entry["images"]]
    confidence = [entry["confidence"] for entry in full]
    total = max(sum(entry["images"] for entry in full), 1)
    shares = [entry["images"] / total for entry in full]
    widths = [entry["high"] - entry["low"] for entry in full]
    axes.bar(
        [entry["low"] for entry in full],
        shares,
        width=widths,
        align="edge",
        color=MUTED,
        alpha=0.35,
        label="share of the images",
    )
    axes.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1)
    accuracy = [entry["accuracy"] for entry in full]
    axes.plot(confidence, accuracy, color=SERIES[0], marker="o", markersize=4, linewidth=1.8)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="confidence", ylabel="accuracy")
    _percent(axes)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    return svg_of(axes, title)


def coverage_chart(points: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Draw the accuracy on the share of the images that are answered, most certain ones first.

    Args:
        points: records with ``coverage`` and ``accuracy``.
        title: above the chart.
    """
    axes = chart_axes(title)
    coverage = [point["coverage"] for point in points]
    accuracy = [point["accuracy"] for point in points]
    axes.plot(coverage, accuracy, color=SERIES[0], linewidth=1.8)
    axes.fill_between(coverage, accuracy, 0, color=SERIES[0], alpha=0.12, linewidth=0)
    floor = min(accuracy, default=0.0)
    axes.set(xlim=(0, 1.01), ylim=(max(0.0, floor - 0.1), 1.01))
    axes.set(xlabel="images answered", ylabel="accuracy on them")
    _percent(axes)
    return svg_of(axes, title)


def cost_chart(points: Sequence[CostPoint], *, title: str, unit: str) -> str:
    """Draw accuracy against a cost on a logarithmic axis; those on the Pareto front are filled."""
    axes = chart_axes(title, size=(5.2, 3.0 if len(points) <= 8 else 3.8))
    draw_costs(axes, points, unit=unit)
    return svg_of(axes, title)


def draw_costs(axes: Axes, points: Sequence[CostPoint], *, unit: str) -> None:
    """Draw networks into axes, each with its name; the Pareto front as a line."""
    front = sorted((point.cost, point.accuracy) for point in points if point.front)
    steps = [corner for a, b in pairwise(front) for corner in (a, (b[0], a[1]))] + front[-1:]
    if steps:
        axes.plot(*np.array(steps).T, color=SERIES[0], linewidth=1.2)
    for point in points:
        face = SERIES[0] if point.front else "none"
        edge = SERIES[0] if point.front else MUTED
        axes.scatter(point.cost, point.accuracy, s=42, facecolor=face, edgecolor=edge, zorder=3)
    costs = [point.cost for point in points]
    if max(costs) > 3 * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    name_points(
        axes,
        [(point.cost, point.accuracy, point.name) for point in points],
        [INK if point.front else MUTED for point in points],
        line=steps,
        gid=HALO,
    )


def bars_chart(values: Mapping[str, float], *, title: str) -> str:
    """Draw shares as horizontal bars, the first one on top, each with its value."""
    axes = chart_axes(title, size=(3.6, 0.9 + 0.27 * len(values)))
    names, shares = list(values), list(values.values())
    axes.barh(range(len(names)), shares, color=SERIES[0], height=0.62)
    for place, share in enumerate(shares):
        axes.annotate(
            f"{100 * share:.0f} %",
            (share, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=INK,
        )
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(shares))
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    return svg_of(axes, title)


def svg_of(axes: Axes, label: str) -> str:
    """Return the figure of some axes as an SVG element that takes the page's colours and font."""
    figure = axes.get_figure()
    file = io.StringIO()
    # Text stays text: it can be read out, searched and scaled, and weighs a tenth of its outlines.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})  # type: ignore[union-attr]
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="[^"]*_\d+"', "", text)  # the page may hold many charts
    text = text.replace(f'id="{HALO}"', f'style="{_RIM}"')
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    opening, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', opening)  # the page settles the size
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    name = escape(label, quote=True)
    return f'<svg role="img" aria-label="{name}" {spaces} {box.group(0) if box else ""}>{rest}'


def chart_axes(title: str, size: tuple[float, float] = _SIZE) -> Axes:
    """Return empty axes in the page's style, ``size`` in inches."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=9.5, color=INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=8, colors=MUTED, length=3)
    axes.xaxis.label.set(color=MUTED, fontsize=8.5)
    axes.yaxis.label.set(color=MUTED, fontsize=8.5)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    return axes


def _percent(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
