"""What is exported: one graph from pixels to calibrated probabilities, and its metadata."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import facialnet
from facialnet.data.transforms import Preprocessing
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.checkpoint import Checkpoint
from facialnet.training.views import Views


class AnsweringNetwork(nn.Module):
    """Turn pixels into every task's probabilities: views averaged, then calibrated.

    The very answers that ``facialnet.evaluate`` gives with the checkpoint.

    Args:
        network: its outputs are read by its heads' codings.
        views: looks at each face whose probabilities are averaged.
        size: side of the network's input; views may be cut out of larger pictures.
        temperatures: task name to the temperature of its calibration; 1 where a task is missing.
    """

    def __init__(
        self,
        network: MultiTaskNetwork,
        views: Views,
        *,
        size: int,
        temperatures: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.network = network
        self.views = views
        self.size = size
        self.temperatures = dict(temperatures)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return probabilities, float32 [N, classes], of each task.

        Args:
            images: uint8 [N, C, H, W].
        """
        views = self.views(images, self.size)
        looks = [self.network.log_probabilities(self.network(view)) for view in views]
        probabilities = {}
        for task in looks[0]:
            mean = looks[0][task]
            if len(looks) > 1:
                stacked = torch.stack([look[task] for look in looks])
                mean = stacked.logsumexp(0) - math.log(len(looks))
            # softmax(log p / temperature) as in evaluation.calibration.tempered
            probabilities[task] = (mean / self.temperatures.get(task, 1.0)).softmax(-1)
        return probabilities


@dataclass(frozen=True)
class Exportable:
    """A checkpoint made ready for export.

    Attributes:
        checkpoint: where it comes from.
        network: what is exported, in evaluation mode on the CPU.
        input_shape: [C, H, W] of one picture.
        margin: whether pictures keep the stored margin, out of which the views are cut.
        metadata: what a program needs beside the graph, as plain data; see ``metadata_of``.
    """

    checkpoint: Checkpoint
    network: AnsweringNetwork
    input_shape: tuple[int, int, int]
    margin: bool
    metadata: dict[str, Any]

    def example(self, faces: int = 2) -> Tensor:
        """Return pictures to trace with, uint8 [faces, C, H, W]: a ramp of shades."""
        count = faces * math.prod(self.input_shape)
        return torch.arange(count).remainder(256).to(torch.uint8).view(faces, *self.input_shape)


def exportable(checkpoint: Checkpoint, preprocessing: Preprocessing, views: Views) -> Exportable:
    """Build the graph of a checkpoint.

    Args:
        checkpoint: trained weights and their card.
        preprocessing: what the card's ``preprocess`` describes.
        views: what the card's ``config.views`` describes.
    """
    network = AnsweringNetwork(
        checkpoint.network(),
        views,
        size=preprocessing.size,
        temperatures=checkpoint.temperatures,
    ).eval()
    side = preprocessing.stored_side if views.margin else preprocessing.size
    shape = (preprocessing.channels, side, side)
    return Exportable(
        checkpoint, network, shape, views.margin, metadata_of(checkpoint, views, shape)
    )


def metadata_of(
    checkpoint: Checkpoint, views: Views, input_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Return what an exported file says about itself, as plain data.

    ``facialnet``: the version. ``checkpoint``: its file name. ``tasks``: task name to ``classes``,
    in the order of the outputs, ``ordinal``, and the label ``column``. ``input``: ``shape``
    [C, H, W], and ``margin``, the pixels of it beyond the network's view. ``preprocess``,
    ``layout``, ``calibration``, ``data``, ``init``, ``stamp``: as in the card; ``calibration`` is
    part of the graph already.
    ``views``: ``name`` and ``note`` of the looks that the graph averages.
    """
    card = checkpoint.card
    preprocess = card["preprocess"]
    name = type(views).__name__
    return {
        "facialnet": facialnet.__version__,
        "checkpoint": checkpoint.path.name,
        "tasks": {
            task: {name: facts[name] for name in ("column", "classes", "ordinal")}
            for task, facts in card["tasks"].items()
        },
        "input": {
            "shape": list(input_shape),
            "margin": preprocess["margin"] if views.margin else 0,
        },
        "preprocess": preprocess,
        "layout": card.get("layout"),
        "calibration": card["calibration"],
        "views": {
            "name": name,
            "note": "averaged in the graph, and the calibration is for their average",
        },
        "data": card["data"],
        "init": _without_files(card.get("init")),
        "stamp": card.get("stamp"),
    }


def _without_files(init: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what a training began with: whose data; where a file lay is nobody's business."""
    return None if init is None else {key: init.get(key) for key in ("data", "stamp")}
