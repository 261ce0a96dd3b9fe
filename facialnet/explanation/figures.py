"""Pictures of explanations: the face, the maps of every head, what deleting them does."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from facialnet.explanation.deletion import SHARES, Curves
from facialnet.explanation.explainer import Explanation

METHOD_NAMES = {
    "gradcam": "Grad-CAM",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
}
# As in the report's charts, readable by the colour-blind; warm speaks for, cold against.
_COLOURS = {"gradcam": "#1f62b8", "integrated_gradients": "#c0640f", "occlusion": "#23805a"}
_MUTED, _LINE = "#666c75", "#e1e2e0"
_SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#0b3c8c", "#3f86d8", "#ffffff", "#f08a24", "#a3200d"]
)
_PEAK = 99.5  # percentile of |map| that gets the full colour: single pixels would leave all pale

_TINY = float(np.finfo(np.float32).tiny)


def explanation_figure(
    face: NDArray[np.uint8], explanations: Mapping[str, Explanation], title: str = ""
) -> Figure:
    """Draw one face: a row for each task, with its answer, maps and curves.

    Args:
        face: uint8 [H, W, C], C 1 or 3, as the network saw it.
        explanations: task name to explanation, all with the same methods.
        title: above the picture.
    """
    rows = list(explanations.values())
    methods = list(rows[0].maps)
    columns = 1 + len(methods)
    figure = Figure(figsize=(1.95 * columns + 5.6, 2.3 * len(rows) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(rows), columns + 2, width_ratios=[1.0] * columns + [1.35, 1.35])
    for number, explanation in enumerate(rows):
        _draw_face(figure.add_subplot(grid[number, 0]), face, explanation)
        for place, method in enumerate(methods, start=1):
            axes = figure.add_subplot(grid[number, place])
            draw_map(axes, face, explanation.maps[method])
            axes.set_title(METHOD_NAMES[method], fontsize=9, color=_COLOURS[method])
        for place, kind in ((columns, "deletion"), (columns + 1, "insertion")):
            _draw_curves(figure.add_subplot(grid[number, place]), explanation, kind)
    handles, labels = figure.axes[-1].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower right",
        ncols=len(labels),
        frameon=False,
        fontsize=8.5,
        labelcolor=_MUTED,
    )
    if title:
        figure.suptitle(title, fontsize=10, color=_MUTED, parse_math=False)
    return figure


def maps_figure(
    faces: NDArray[np.uint8], maps: Mapping[str, NDArray[np.float32]], captions: Sequence[str]
) -> Figure:
    """Draw several faces, a row each: the face with its caption, and its map by every method.

    Args:
        faces: uint8 [N, H, W, C], C 1 or 3.
        maps: method to maps, float32 [N, H, W].
        captions: N texts.
    """
    columns = 1 + len(maps)
    figure = Figure(figsize=(2.0 * columns, 2.2 * len(faces)), layout="constrained")
    for row, (face, caption) in enumerate(zip(faces, captions, strict=True)):
        axes = figure.add_subplot(len(faces), columns, row * columns + 1)
        draw_face(axes, face)
        axes.set_title(caption, fontsize=9, parse_math=False)
        for place, (method, found) in enumerate(maps.items(), start=2):
            axes = figure.add_subplot(len(faces), columns, row * columns + place)
            draw_map(axes, face, found[row])
            if row == 0:
                axes.set_title(METHOD_NAMES[method], fontsize=9, color=_COLOURS[method])
    return figure


def draw_face(axes: Axes, face: NDArray[np.uint8], *, pale: bool = False) -> None:
    """Draw a face, uint8 [H, W, C], in grey or in its colours; pale under a map."""
    shown = face.astype(np.float32) / 255
    if pale:
        grey = shown.mean(2)
        axes.imshow(0.5 + 0.5 * grey, cmap="gray", vmin=0, vmax=1)
    else:
        axes.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1)
    axes.axis("off")


def draw_map(axes: Axes, face: NDArray[np.uint8], relevance: NDArray[np.floating]) -> None:
    """Draw a map [H, W] over a pale face: warm where it speaks for the class, cold against it."""
    draw_face(axes, face, pale=True)
    peak = max(float(np.percentile(np.abs(relevance), _PEAK)), _TINY)
    strength = np.clip(relevance / peak, -1, 1)
    colours = _SIGNED((strength + 1) / 2)
    colours[..., 3] = 0.85 * np.abs(strength) ** 0.7
    axes.imshow(colours, interpolation="nearest")


def _draw_face(axes: Axes, face: NDArray[np.uint8], explanation: Explanation) -> None:
    draw_face(axes, face)
    name, label = explanation.task.name, explanation.explained_class
    first = f"{name}: {label} {explanation.probability:.2f}"
    if label == explanation.answer:
        axes.set_title(first, fontsize=10.5, parse_math=False)
    else:
        said = f"(answer: {explanation.answer} {explanation.probabilities.max():.2f})"
        axes.set_title(f"{first}\n{said}", fontsize=9, parse_math=False)


def _draw_curves(axes: Axes, explanation: Explanation, kind: str) -> None:
    """Draw the deletion or the insertion curves of a task."""
    shares = SHARES

    def curve(of: Curves) -> NDArray[np.float64]:
        return of.deletion if kind == "deletion" else of.insertion

    random = np.stack([curve(each) for each in explanation.random])
    axes.fill_between(shares, random.min(0), random.max(0), color=_LINE, linewidth=0)
    axes.plot(shares, random.mean(0), color=_MUTED, linewidth=1.2, label="random order")
    axes.plot(
        shares,
        curve(explanation.central),
        color=_MUTED,
        linewidth=1.2,
        linestyle=":",
        label="from the middle",
    )
    for method, found in explanation.curves.items():
        name = METHOD_NAMES[method]
        axes.plot(shares, curve(found), color=_COLOURS[method], linewidth=1.7, label=name)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.tick_params(labelsize=8, colors=_MUTED, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.grid(color=_LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    says = "cells emptied" if kind == "deletion" else "cells put into the blurred face"
    axes.set_xlabel(says, fontsize=8.5, color=_MUTED)
    title = f"{kind}: p({explanation.explained_class})"
    axes.set_title(title, fontsize=9, parse_math=False)
