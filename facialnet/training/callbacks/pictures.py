"""Pictures in TensorBoard and in the run folder: what goes in, what comes out of every layer."""

import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid, save_image

from facialnet.evaluation.figures import confusion_figure
from facialnet.explanation.feature_maps import convolution_outputs, kernels, tiles
from facialnet.models.uncompiled import uncompiled
from facialnet.training.callbacks.fixed_faces import fixed_faces
from facialnet.training.callbacks.tensorboard import writer


class FeatureMaps(L.Callback):
    """Show what every convolution makes of some fixed validation faces, and the first kernels.

    One row for each face, one tile for each of a layer's first channels, each stretched to its own
    range.

    Args:
        folder: where the latest pictures are kept as PNG files.
        every_n_epochs: how often.
        faces: how many validation faces.
        channels: how many channels of each layer.
    """

    def __init__(
        self, folder: str, *, every_n_epochs: int = 5, faces: int = 4, channels: int = 16
    ) -> None:
        self.folder = Path(folder)
        self.every_n_epochs = every_n_epochs
        self.faces = faces
        self.channels = channels
        self._images: Tensor | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw after the first epoch and then every n epochs."""
        board = writer(trainer)
        if (
            board is None
            or trainer.state.fn != "fit"
            or trainer.current_epoch % self.every_n_epochs
        ):
            return
        if self._images is None:
            self._images = fixed_faces(trainer, self.faces)
        images = self._images.to(pl_module.device)
        network: Any = pl_module.network
        grids = {"input": tiles(images.float().mean(1, keepdim=True), 1)}
        for name, maps in convolution_outputs(network, images).items():
            grids[name] = tiles(maps, self.channels)
        if len(grids) > 1:
            grids["kernels"] = kernels(network.backbone)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, grid in grids.items():
            board.add_image(f"feature_maps/{name}", grid, trainer.current_epoch)
            save_image(grid, self.folder / f"feature_maps_{name}.png")


class AugmentedBatch(L.Callback):
    """Show the first training batch as the network gets it."""

    def __init__(self, folder: str, *, faces: int = 32) -> None:
        self.folder = Path(folder)
        self.faces = faces

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw the very first batch."""
        board = writer(trainer)
        if board is None or trainer.global_step > 0 or batch_idx > 0:
            return
        grid = make_grid(batch["images"][: self.faces].float() / 255, nrow=8, padding=1)
        self.folder.mkdir(parents=True, exist_ok=True)
        board.add_image("batch/augmented", grid, 0)
        save_image(grid, self.folder / "augmented_batch.png")


class Confusions(L.Callback):
    """Show each task's confusion matrix of the validation, and that of the test, as pictures."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add one picture for each task and epoch."""
        board = writer(trainer)
        if board is None or trainer.state.fn != "fit":
            return
        for task, figure in self._figures(pl_module, "val"):
            board.add_figure(f"confusion/{task}", figure, trainer.current_epoch)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save one picture for each task."""
        if not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for task, figure in self._figures(pl_module, "test"):
            figure.savefig(self.folder / f"confusion_{task}.png", dpi=110)

    def _figures(self, pl_module: Any, stage: str) -> list[tuple[str, Figure]]:
        return [
            (name, confusion_figure(matrix.cpu().numpy(), pl_module.tasks[name].classes, name))
            for name, matrix in pl_module.confusions[stage].items()
        ]


class Graph(L.Callback):
    """Draw the network's graph in TensorBoard."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Trace the network with one validation face."""
        board = writer(trainer)
        if board is None or trainer.global_step > 0:
            return
        face = trainer.datamodule.datasets["val"][(0, 0)]["images"]  # type: ignore[attr-defined]
        network: Any = pl_module.network
        training = network.training
        # Answers are a dictionary, which the tracer takes only when it is not strict. It warns of
        # every choice by the pictures' shape, and the graph is for this shape alone.
        with uncompiled(network), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
            board.add_graph(network.eval(), face.to(pl_module.device), use_strict_trace=False)
        network.train(training)
