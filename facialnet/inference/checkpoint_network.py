"""A checkpoint's network, run by PyTorch on any device."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.errors import UserError
from facialnet.evaluation.calibration import tempered
from facialnet.inference.network import Pixels, Probabilities, TrainedNetwork
from facialnet.training import views as all_views
from facialnet.training.checkpoint import Checkpoint, read_checkpoint
from facialnet.training.views import Views

VIEWS: dict[str, Callable[[], Views]] = {
    "single": all_views.Single,
    "mirror": all_views.Mirror,
    "ten_crop": all_views.TenCrop,
}


class CheckpointNetwork(TrainedNetwork):
    """The network of a checkpoint: preprocessing, layout, class names, views and calibration, too.

    Attributes:
        network: in evaluation mode, on the device.
        device: where it is.

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
        own_views = _views_of(card)
        views_name = views or own_views
        if views_name not in VIEWS:
            raise UserError(f"views={views_name}: allowed are {', '.join(VIEWS)}")
        tasks = checkpoint.tasks
        self._temperatures = checkpoint.temperatures if views_name == own_views else {}
        super().__init__(
            path=checkpoint.path,
            tasks=tasks,
            preprocessing=preprocessing_from_plain(card["preprocess"]),
            layout=card.get("layout"),
            views_name=views_name,
            calibrated=all(name in self._temperatures for name in tasks),
        )
        self._views: Views = VIEWS[views_name]()
        if self._views.margin and not self.preprocessing.margin:
            raise UserError("views=ten_crop: this checkpoint's faces have no margin to crop from")
        self.device = choose_device(device)
        self.network = checkpoint.network().to(self.device)

    @classmethod
    def read(
        cls, path: Path, *, views: str | None = None, device: str = "auto"
    ) -> "CheckpointNetwork":
        """Read a checkpoint; raises UserError where that is not possible."""
        return cls(read_checkpoint(path), views=views, device=device)

    def probabilities(self, stored: Pixels) -> Probabilities:
        """Return each task's probabilities; see TrainedNetwork."""
        if not self._views.margin:
            stored = self.preprocessing.network_view(stored)
        images = torch.from_numpy(np.ascontiguousarray(stored)).permute(0, 3, 1, 2)
        size = self.preprocessing.size
        with torch.inference_mode():
            looks = [
                self.network.log_probabilities(self.network(view))
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
