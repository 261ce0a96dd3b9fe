"""Pictures in TensorBoard and in the run folder: what goes in, what comes out of every layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional
from torchvision.utils import make_grid, save_image

from facialnet.evaluation.figures import confusion_figure
from facialnet.training.callbacks.tensorboard import writer

_TILE = 48  # pixels; smaller maps are enlarged to it, so that a 5x5 map can be seen


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
        images = self._fixed_faces(trainer).to(pl_module.device)
        network: Any = pl_module.network
        grids = {"input": _tiles(images.float().mean(1, keepdim=True), 1)}
        for name, maps in convolution_outputs(network, images).items():
            grids[name] = _tiles(maps, self.channels)
        if len(grids) > 1:
            grids["kernels"] = _kernels(network.backbone)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, grid in grids.items():
            board.add_image(f"feature_maps/{name}", grid, trainer.current_epoch)
            save_image(grid, self.folder / f"feature_maps_{name}.png")

    def _fixed_faces(self, trainer: L.Trainer) -> Tensor:
        if self._images is None:
            dataset = trainer.datamodule.datasets["val"]  # type: ignore[attr-defined]
            positions = np.linspace(0, len(dataset) - 1, min(self.faces, len(dataset))).astype(int)
            self._images = dataset.__getitems__([(0, int(i)) for i in positions])["images"]
        return self._images


def convolution_outputs(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return every convolution's output for some images, float [N, C, H, W], by layer name."""
    outputs: dict[str, Tensor] = {}
    handles = []
    layers = {n: layer for n, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    short = {name: name.rpartition(".")[2] for name in layers}
    if len(set(short.values())) < len(layers):  # nested blocks use the same names again
        short = {name: name.removeprefix("backbone.") for name in layers}
    for name, layer in layers.items():

        def keep(_: nn.Module, __: Any, output: Tensor, name: str = short[name]) -> None:
            outputs[name] = output.detach().float().clone()

        handles.append(layer.register_forward_hook(keep))
    training = network.training
    try:
        with torch.no_grad(), uncompiled(network):
            network.eval()(images)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return outputs


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Run a network layer by layer: compiled code passes hooks by and cannot be traced."""
    compiled = network._compiled_call_impl
    network._compiled_call_impl = None
    try:
        yield
    finally:
        network._compiled_call_impl = compiled


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
        # Answers are a dictionary, which the tracer takes only when it is not strict.
        with uncompiled(network):
            board.add_graph(network.eval(), face.to(pl_module.device), use_strict_trace=False)
        network.train(training)


def _tiles(maps: Tensor, channels: int) -> Tensor:
    """Lay maps [N, C, H, W] out as a grid [3, H', W'] in 0..1: a row a face, a tile a channel."""
    chosen = maps[:, :channels]
    flat = chosen.reshape(-1, 1, *chosen.shape[2:]).cpu()
    if flat.shape[-1] < _TILE:
        flat = functional.interpolate(flat, size=(_TILE, _TILE), mode="nearest")
    grid: Tensor = make_grid(flat, nrow=chosen.shape[1], padding=1, normalize=True, scale_each=True)
    return grid


def _kernels(backbone: nn.Module) -> Tensor:
    first = next(layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d))
    kernels = first.weight.detach().float().cpu()
    if kernels.shape[1] != 3:
        kernels = kernels.mean(1, keepdim=True)
    large = functional.interpolate(kernels, size=(_TILE // 2, _TILE // 2), mode="nearest")
    grid: Tensor = make_grid(large, nrow=8, padding=1, normalize=True, scale_each=True)
    return grid
