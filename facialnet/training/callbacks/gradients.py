"""Whether tasks pull the shared layers the same way."""

from itertools import combinations
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.models.uncompiled import uncompiled
from facialnet.training.losses import mean_loss


class GradientCosine(L.Callback):
    """Log the cosine between the tasks' gradients on the backbone, for every pair of tasks.

    Above 0 the tasks help each other, at 0 they do not meet, below 0 they are in conflict (Yu et
    al., "Gradient surgery for multi-task learning", 2020, definition 1). It is measured on training
    batches in evaluation mode, before the step: the run's random draws, batch statistics and
    weights are the same as without it. The losses' weights do not matter to a cosine.

    Args:
        every_n_steps: how often; each time costs about two more steps.

    Raises:
        UserError: ``every_n_steps`` is below 1.
    """

    def __init__(self, *, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise UserError(
                f"callbacks.gradient_cosine.every_n_steps={every_n_steps} must be at least 1"
            )
        self.every_n_steps = every_n_steps

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Measure before every n-th step, where the batch has labels for at least two tasks."""
        mid_step = batch_idx % trainer.accumulate_grad_batches
        if trainer.global_step % self.every_n_steps or mid_step or len(pl_module.tasks) < 2:  # type: ignore[arg-type]
            return
        gradients = _gradients(pl_module, batch)
        for (first, one), (second, other) in combinations(gradients.items(), 2):
            if one.any() and other.any():
                cosine = functional.cosine_similarity(one, other, dim=0)
                pl_module.log(
                    f"gradient_cosine/{first}_{second}", cosine, on_step=False, on_epoch=True
                )


def _gradients(pl_module: Any, batch: Any) -> dict[str, Tensor]:
    """Return each task's gradient of its mean loss on the backbone, one vector a task."""
    network = pl_module.network
    shared = [p for p in network.backbone.parameters() if p.requires_grad]
    if not shared:  # all of it is frozen
        return {}
    training = network.training
    try:
        with torch.enable_grad(), uncompiled(network):
            logits, weights = network.eval()(batch["images"]), batch.get("weights")
            return {
                name: torch.cat(
                    [
                        gradient.flatten()
                        for gradient in torch.autograd.grad(
                            mean_loss(*loss(logits[name], batch["targets"][name], weights)),
                            shared,
                            retain_graph=True,
                        )
                    ]
                )
                for name, loss in pl_module.losses.items()
            }
    finally:
        network.train(training)
