"""What the network looks at, for fixed faces, while it is being trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from torch import Tensor

from facialnet.errors import UserError
from facialnet.explanation.attribution import check_methods
from facialnet.explanation.explainer import Explainer
from facialnet.explanation.figures import maps_figure
from facialnet.training.callbacks.fixed_faces import fixed_faces
from facialnet.training.callbacks.tensorboard import writer

_DPI = 90


class Explanations(L.Callback):
    """Show what in some fixed validation faces speaks for the network's answers.

    One picture for each task: a row for each face with the answer, a map by each method. It is
    drawn by the weights that are being validated, the averaged ones where there are such: in the
    list of callbacks it must stand before the one that averages. Weights, gradients, modes and
    random draws of the training are the same as without it.

    Args:
        folder: where the latest pictures are kept as PNG files.
        every_n_epochs: how often; None: never, and nothing is needed for it.
        faces: how many validation faces.
        methods: of ``facialnet.explanation.attribution.METHODS``.

    Raises:
        UserError: ``every_n_epochs`` or ``faces`` is below 1, a method is unknown, or captum is
            missing; and when training begins: the network has no layer for Grad-CAM.
    """

    def __init__(
        self,
        folder: str,
        *,
        every_n_epochs: int | None = None,
        faces: int = 4,
        methods: Sequence[str] = ("gradcam", "integrated_gradients"),
    ) -> None:
        self.folder = Path(folder)
        self.every_n_epochs = every_n_epochs
        self.faces = faces
        self.methods = tuple(methods)
        self._explainer: Explainer | None = None
        self._images: Tensor | None = None
        if every_n_epochs is None:
            return
        for name, value in (("every_n_epochs", every_n_epochs), ("faces", faces)):
            if value < 1:
                raise UserError(f"callbacks.explanations.{name}={value} must be at least 1")
        check_methods(self.methods, "callbacks.explanations.methods")

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find out before the training whether the network can be explained."""
        if self.every_n_epochs is None or writer(trainer) is None:
            return
        module: Any = pl_module
        self._explainer = Explainer(module.network, module.tasks, methods=self.methods)
        self._images = fixed_faces(trainer, self.faces)
        self._explainer.layer(self._images[:1].to(module.device))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw after the first epoch and then every n epochs."""
        board = writer(trainer)
        if board is None or self._explainer is None or self._images is None:
            return
        assert self.every_n_epochs is not None
        if trainer.sanity_checking or trainer.current_epoch % self.every_n_epochs:
            return
        images = self._images.to(pl_module.device)
        shown = self._images.permute(0, 2, 3, 1).numpy()
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, values in self._explainer.probabilities(images).items():
            classes = self._explainer.tasks[name].classes
            best = values.max(1)
            maps = self._explainer.maps(images, name, best.indices)
            captions = [
                f"{name}: {classes[number]} {share:.2f}"
                for number, share in zip(best.indices.tolist(), best.values.tolist(), strict=True)
            ]
            drawn = {method: found.cpu().numpy() for method, found in maps.items()}
            figure = maps_figure(shown, drawn, captions)
            figure.savefig(self.folder / f"explanations_{name}.png", dpi=_DPI)
            board.add_figure(f"explanations/{name}", figure, trainer.current_epoch)
