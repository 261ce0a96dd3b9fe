"""Pictures of results."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def confusion_figure(
    confusion: NDArray[np.int64], classes: Sequence[str], title: str = ""
) -> Figure:
    """Draw a confusion matrix: each row's shares as colour, counts as numbers.

    Args:
        confusion: counts [C, C], rows true, columns predicted.
        classes: C names.
        title: above the picture.
    """
    count = len(classes)
    side = 1.8 + 0.55 * count
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    totals = confusion.sum(1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(count, count):
        colour = "white" if shares[row, column] > 0.5 else "black"
        count_text = str(int(confusion[row, column]))
        axes.text(column, row, count_text, ha="center", va="center", color=colour)
    axes.set_xticks(range(count), classes, rotation=45 if count > 4 else 0)
    axes.set_yticks(range(count), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    figure.colorbar(picture, ax=axes, label="share of the true class", shrink=0.8)
    return figure


_COLOURS = {True: "green", False: "firebrick", None: "black"}


def answers_figure(
    images: NDArray[np.uint8], captions: Sequence[str], right: Sequence[bool | None]
) -> Figure:
    """Draw faces with what the network answered: green where it is right, red where it is wrong.

    Black where nobody knows.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.
        captions: N texts.
        right: N.
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.5 * columns, 1.95 * rows), layout="constrained")
    for number, (image, caption, good) in enumerate(zip(images, captions, right, strict=True)):
        axes = figure.add_subplot(rows, columns, number + 1)
        axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=9, color=_COLOURS[good])
        axes.axis("off")
    return figure
