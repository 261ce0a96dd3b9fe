"""Small charts for pages, as SVG that takes the page's colours and letters."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, PercentFormatter

# Stand-ins: an SVG on a page gets the page's own colours, which follow light and dark.
_INK, _MUTED, _GRID = "#000101", "#000102", "#000103"
_SERIES = ("#000201", "#000202", "#000203")
_VARIABLES = {
    _INK: "--ink",
    _MUTED: "--muted",
    _GRID: "--line",
    **{colour: f"--series-{n}" for n, colour in enumerate(_SERIES, 1)},
}
_SIZE = (3.6, 2.5)  # inches; two to four stand side by side
_LONGEST = 28  # characters of a name in a chart; longer ones leave it no room
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
    axes = _axes(title)
    for (name, several), colour in zip(curves.items(), _SERIES, strict=False):
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
        axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
    return svg_of(axes, title)


def reliability_chart(bins: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Draw accuracy against confidence, and below how many images have each confidence.

    Args:
        bins: records with ``low``, ``high``, ``images``, ``confidence`` and ``accuracy``, the last
            two None where a bin is empty.
        title: above the chart.
    """
    axes = _axes(title)
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
        color=_MUTED,
        alpha=0.35,
        label="share of the images",
    )
    axes.plot([0, 1], [0, 1], color=_MUTED, linestyle="--", linewidth=1)
    accuracy = [entry["accuracy"] for entry in full]
    axes.plot(confidence, accuracy, color=_SERIES[0], marker="o", markersize=4, linewidth=1.8)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="confidence", ylabel="accuracy")
    _percent(axes)
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK, loc="upper left")
    return svg_of(axes, title)


def coverage_chart(points: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """Draw the accuracy on the share of the images that are answered, most certain ones first.

    Args:
        points: records with ``coverage`` and ``accuracy``.
        title: above the chart.
    """
    axes = _axes(title)
    coverage = [point["coverage"] for point in points]
    accuracy = [point["accuracy"] for point in points]
    axes.plot(coverage, accuracy, color=_SERIES[0], linewidth=1.8)
    axes.fill_between(coverage, accuracy, 0, color=_SERIES[0], alpha=0.12, linewidth=0)
    floor = min(accuracy, default=0.0)
    axes.set(xlim=(0, 1.01), ylim=(max(0.0, floor - 0.1), 1.01))
    axes.set(xlabel="images answered", ylabel="accuracy on them")
    _percent(axes)
    return svg_of(axes, title)


def cost_chart(points: Sequence[CostPoint], *, title: str, unit: str) -> str:
    """Draw accuracy against a cost on a logarithmic axis; those on the Pareto front are filled."""
    axes = _axes(title, size=(5.2, 3.0))
    front = sorted((point.cost, point.accuracy) for point in points if point.front)
    if front:
        axes.plot(*np.array(front).T, color=_SERIES[0], linewidth=1.2, drawstyle="steps-post")
    for point in points:
        face = _SERIES[0] if point.front else "none"
        edge = _SERIES[0] if point.front else _MUTED
        axes.scatter(point.cost, point.accuracy, s=42, facecolor=face, edgecolor=edge, zorder=3)
        axes.annotate(
            point.name
            if len(point.name) <= _LONGEST
            else f"{point.name[:_LONGEST]}\N{HORIZONTAL ELLIPSIS}",
            (point.cost, point.accuracy),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize=8,
            color=_INK if point.front else _MUTED,
            parse_math=False,
        )
    costs = [point.cost for point in points]
    if max(costs) > 3 * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.25, y=0.2)
    axes.set_xlabel(unit)
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
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
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    opening, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', opening)  # the page settles the size
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    name = escape(label, quote=True)
    return f'<svg role="img" aria-label="{name}" {spaces} {box.group(0) if box else ""}>{rest}'


def _axes(title: str, size: tuple[float, float] = _SIZE) -> Axes:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=9.5, color=_INK, loc="left", parse_math=False)
    axes.tick_params(labelsize=8, colors=_MUTED, length=3)
    axes.xaxis.label.set(color=_MUTED, fontsize=8.5)
    axes.yaxis.label.set(color=_MUTED, fontsize=8.5)
    axes.grid(color=_GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GRID)
    return axes


def _percent(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
