"""A checkpoint's network with all that belongs to it: from framed faces to probabilities."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import frame
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.errors import UserError
from facialnet.evaluation.calibration import tempered
from facialnet.inference.answers import RESERVED, TaskAnswer
from facialnet.labels import Task, middle_ages
from facialnet.training import views as all_views
from facialnet.training.checkpoint import Checkpoint, read_checkpoint
from facialnet.training.views import Views

VIEWS: dict[str, Callable[[], Views]] = {
    "single": all_views.Single,
    "mirror": all_views.Mirror,
    "ten_crop": all_views.TenCrop,
}
Pixels = NDArray[np.uint8]
Probabilities = dict[str, NDArray[np.float64]]


class TrainedNetwork:
    """A network that answers as it did in the test of its training.

    Preprocessing, layout of the face, class names, views and calibration are the checkpoint's own.

    Attributes:
        tasks: task name to task.
        preprocessing: from a picture to stored pixels.
        layout: where the five points lie in them, or None where the checkpoint does not say.
        calibrated: whether the probabilities are calibrated.

    Args:
        checkpoint: as read.
        views: one of VIEWS; None: as the checkpoint was tested. With other views the probabilities
            are the network's own: the calibration is for the checkpoint's.
        device: ``auto``, or a device of PyTorch such as ``cpu`` and ``cuda:1``.

    Raises UserError where the checkpoint has nothing to answer with, or the device is not there.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, views: str | None = None, device: str = "auto"
    ) -> None:
        card = checkpoint.card
        self.path = checkpoint.path
        self.card = card
        self.tasks: dict[str, Task] = checkpoint.tasks
        self.preprocessing = preprocessing_from_plain(card["preprocess"])
        points = card.get("layout")
        self.layout = None if points is None else np.asarray(points, np.float32)
        own_views = _views_of(card)
        self.views_name = views or own_views
        if self.views_name not in VIEWS:
            raise UserError(f"views={self.views_name}: allowed are {', '.join(VIEWS)}")
        self._views: Views = VIEWS[self.views_name]()
        if self._views.margin and not self.preprocessing.margin:
            raise UserError("views=ten_crop: this checkpoint's faces have no margin to crop from")
        self._temperatures = checkpoint.temperatures if self.views_name == own_views else {}
        self.calibrated = all(name in self._temperatures for name in self.tasks)
        self._middles = {
            name: middle_ages(task.classes) if task.ordinal else None
            for name, task in self.tasks.items()
        }
        if taken := [name for name in self.tasks if name in RESERVED]:
            raise UserError(f"{checkpoint.path}: a task cannot be called {taken[0]!r} in answers")
        self.device = choose_device(device)
        self._network = checkpoint.network().to(self.device)

    @classmethod
    def read(
        cls, path: Path, *, views: str | None = None, device: str = "auto"
    ) -> "TrainedNetwork":
        """Read a checkpoint; raises UserError where that is not possible."""
        return cls(read_checkpoint(path), views=views, device=device)

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

    def probabilities(self, stored: Pixels) -> Probabilities:
        """Return each task's calibrated probabilities, float64 [N, classes].

        Args:
            stored: uint8 [N, stored_side, stored_side, channels].
        """
        if not self._views.margin:
            stored = self.preprocessing.network_view(stored)
        images = torch.from_numpy(np.ascontiguousarray(stored)).permute(0, 3, 1, 2)
        size = self.preprocessing.size
        with torch.inference_mode():
            looks = [
                self._network.log_probabilities(self._network(view))
                for view in self._views(images.to(self.device), size)
            ]
            raw = {
                name: torch.stack([look[name] for look in looks])
                .logsumexp(0)
                .sub(math.log(len(looks)))
                .exp()
                .cpu()
                .numpy()
                for name in self.tasks
            }
        return {name: self._calibrated(name, values) for name, values in raw.items()}

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

    def _calibrated(self, name: str, values: NDArray[np.float32]) -> NDArray[np.float64]:
        if name in self._temperatures:
            return tempered(values, self._temperatures[name])
        return values.astype(np.float64)


def choose_device(name: str) -> torch.device:
    """Return a device by name; ``auto`` is a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} is not there; use auto, cpu, or cuda") from error
    return device


def _views_of(card: Mapping[str, Any]) -> str:
    """Return the name of the views that a checkpoint was tested with."""
    target = ((card.get("config") or {}).get("views") or {}).get("_target_")
    if target is None:
        return "single"
    module, _, name = str(target).rpartition(".")
    for key, cls in VIEWS.items():
        if module == all_views.__name__ and cls is getattr(all_views, name, None):
            return key
    raise UserError(f"the checkpoint was tested with views that are not known here: {target}")
