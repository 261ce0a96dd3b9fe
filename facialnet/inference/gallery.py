"""A picture of some faces with what the network answered, as in the LFW gender CNN's figure 12."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.evaluation.figures import answers_figure
from facialnet.inference.predictor import Answered

_SIDE = 128
_AROUND = 1.3  # of the box's longer side


@dataclass(frozen=True)
class _Shown:
    pixels: NDArray[np.uint8]
    caption: str
    right: bool | None


class Gallery:
    """Keep a random sample of the faces, the same one each time, and draw it.

    Args:
        count: faces that are shown.
    """

    def __init__(self, count: int = 24) -> None:
        self._count = count
        self._seen = 0
        self._shown: list[_Shown] = []
        self._chance = np.random.default_rng(0)

    def add(self, answered: Answered, right: bool | None = None) -> None:
        """Consider the faces of a photo; ``right`` says whether the answers are, where known."""
        if answered.found.pixels is None:
            return
        for number, face in enumerate(answered.answer.faces):
            self._seen += 1
            # Reservoir sampling (Vitter 1985, algorithm R): memory does not grow with the photos.
            place = self._seen - 1
            if place >= self._count:
                place = int(self._chance.integers(self._seen))
            if place >= self._count:
                continue
            words = [answer.text() for answer in face.answers.values()]
            shown = _Shown(_crop(answered, number), "\n".join(words), right)
            self._shown[place : place + 1] = [shown]

    def save(self, path: Path) -> bool:
        """Draw the sample; return False, and write nothing, where there was no face."""
        if not self._shown:
            return False
        figure = answers_figure(
            np.stack([each.pixels for each in self._shown]),
            [each.caption for each in self._shown],
            [each.right for each in self._shown],
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        figure.savefig(partial, dpi=110)
        partial.replace(path)
        return True


def _crop(answered: Answered, number: int) -> NDArray[np.uint8]:
    """Return the square around a face, uint8 [side, side, 3]; beyond the photo it is white."""
    pixels, reduced = answered.found.pixels, answered.found.reduced
    assert pixels is not None
    x, y, width, height = (value * reduced for value in answered.answer.faces[number].box)
    half = max(1, round(_AROUND * max(width, height) / 2))
    if answered.answer.faces[number].detection is None and answered.answer.no_face == "whole":
        half = max(1, round(max(width, height) / 2))
    left, top = round(x + width / 2) - half, round(y + height / 2) - half
    square = np.full((2 * half, 2 * half, 3), 255, np.uint8)
    inner = pixels[max(0, top) : top + 2 * half, max(0, left) : left + 2 * half]
    down, along = max(0, -top), max(0, -left)
    square[down : down + inner.shape[0], along : along + inner.shape[1]] = (
        inner if inner.ndim == 3 else inner[..., None]
    )
    return np.asarray(cv2.resize(square, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
