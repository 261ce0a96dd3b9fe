"""How the losses of several tasks become one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TaskWeighting(nn.Module):
    """Add the tasks' losses up, each times its fixed weight."""

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = dict(weights)

    def forward(self, losses: Mapping[str, Tensor], shared: Tensor | None) -> Tensor:
        """Return the loss of a training step, a scalar.

        Args:
            losses: task name to its mean loss, a scalar; exactly 0 where nothing had a label.
            shared: the last weights that all tasks share; None outside of training.
        """
        total = torch.zeros((), device=next(iter(losses.values())).device)
        for task, loss in losses.items():
            total = total + self.weights[task] * loss
        return total

    def scores(self) -> dict[str, float]:
        """Return what is worth a curve, by task; nothing for fixed weights."""
        return {}
