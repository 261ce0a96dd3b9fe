"""What answers framed faces, with all that belongs to it: from stored pixels to probabilities."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facialnet.data.faces.face import Face, Points
from facialnet.data.faces.framing import frame
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.inference.answers import RESERVED, TaskAnswer
from facialnet.labels import Task, middle_ages

Pixels = NDArray[np.uint8]
Probabilities = dict[str, NDArray[np.float64]]


class TrainedNetwork(ABC):
    """A network that answers as it did in the test of its training.

    Attributes:
        path: the file that it was read from.
        tasks: task name to task.
        preprocessing: from a picture to stored pixels.
        layout: where the five points lie in them, or None where the file does not say.
        views_name: of the looks at a face that are averaged: ``single``, ``mirror``, ``ten_crop``.
        calibrated: whether the probabilities are calibrated.

    Args:
        Those of the attributes' names; ``layout``: five [x, y] in shares of the side.

    Raises UserError where a task's name is one that answers need for themselves.
    """

    def __init__(
        self,
        *,
        path: Path,
        tasks: Mapping[str, Task],
        preprocessing: Preprocessing,
        layout: list[list[float]] | None,
        views_name: str,
        calibrated: bool,
    ) -> None:
        if taken := [name for name in tasks if name in RESERVED]:
            raise UserError(f"{path}: a task cannot be called {taken[0]!r} in answers")
        self.path = path
        self.tasks: dict[str, Task] = dict(tasks)
        self.preprocessing = preprocessing
        self.layout: Points | None = None if layout is None else np.asarray(layout, np.float32)
        self.views_name = views_name
        self.calibrated = calibrated
        self._middles = {
            name: middle_ages(task.classes) if task.ordinal else None
            for name, task in self.tasks.items()
        }

    @abstractmethod
    def probabilities(self, stored: Pixels) -> Probabilities:
        """Return each task's probabilities, calibrated where that is known: float64 [N, classes].

        Args:
            stored: uint8 [N, stored_side, stored_side, channels].
        """

    def frame(self, image: Pixels, face: Face) -> Pixels:
        """Return a face of a photo as the network was trained on: stored pixels, uint8 [H, W, C].

        Args:
            image: uint8 [H, W, 3], RGB, or [H, W].
            face: in pixels of the image.
        """
        return frame(image, face, self.layout, self.preprocessing)

    def view(self, stored: Pixels) -> Pixels:
        """Return what the network sees of a framed face, without its margin: uint8 [H, W, C]."""
        seen: Pixels = self.preprocessing.network_view(stored[None])[0]
        return seen

    def answers(
        self, probabilities: Mapping[str, NDArray[np.float64]], row: int, threshold: float
    ) -> dict[str, TaskAnswer]:
        """Return the answers about one row; below the threshold they are not sure."""
        return {
            name: self._answer(task, probabilities[name][row], threshold)
            for name, task in self.tasks.items()
        }

    def _answer(self, task: Task, values: NDArray[np.float64], threshold: float) -> TaskAnswer:
        index = int(values.argmax())
        middles = self._middles[task.name]
        return TaskAnswer(
            label=task.classes[index],
            index=index,
            probability=float(values[index]),
            probabilities=dict(zip(task.classes, values.tolist(), strict=True)),
            ordinal=task.ordinal,
            expected_years=None if middles is None else float(values @ np.asarray(middles)),
            sure=bool(values[index] >= threshold),
        )
