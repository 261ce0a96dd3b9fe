"""How the losses of several tasks become one."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class TaskWeighting(nn.Module):
    """Add the tasks' losses up, each times its fixed weight.

    Args:
        weights: task name to its weight.
    """

    fixed: Tensor

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = list(weights)
        fixed = torch.tensor(list(weights.values()), dtype=torch.float32)
        self.register_buffer("fixed", fixed, persistent=False)

    def forward(self, losses: Mapping[str, Tensor], shared: Tensor | None) -> Tensor:
        """Return the loss of a training step, a scalar.

        Args:
            losses: task name to its mean loss, a scalar; exactly 0 where nothing had a label.
            shared: the last weights that all tasks share; None outside of training, and where no
                shared weights are trained.
        """
        return (self.fixed * self._in_order(losses)).sum()

    def scores(self) -> dict[str, float]:
        """Return what is worth a curve, by task; nothing for fixed weights."""
        return {}

    def _in_order(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the losses in the order of the weights, [tasks]."""
        return torch.stack([losses[task] for task in self.tasks])


class Uncertainty(TaskWeighting):
    """Learn how noisy each task is, and weigh it accordingly (Kendall, Gal & Cipolla 2018).

    A task with the learnt log-variance s adds exp(-s) * loss + s / 2 (section 3, its approximation
    for classification). At rest exp(-s) is 1 / (2 * loss): the lower a loss can get, the more its
    task weighs. Training starts at s = 0; the optimiser trains s with the network, without decay. A
    task without a label, in any process, adds 0 and leaves its s alone. In evaluation the fixed
    weights hold.

    Args:
        weights: task name to its fixed weight, a factor of both terms; it does not move s.
    """

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        super().__init__(weights=weights)
        self.log_variances = nn.Parameter(torch.zeros(len(weights)))

    def forward(self, losses: Mapping[str, Tensor], shared: Tensor | None) -> Tensor:
        """Return the loss of a training step, a scalar; ``shared`` is not needed."""
        if not self.training:
            return super().forward(losses, shared)
        values = self._in_order(losses)
        labelled = (values.detach() != 0).float()
        if torch.distributed.is_initialized():
            # DDP averages gradients: a process without labels must not thin out that of s / 2
            torch.distributed.all_reduce(labelled, op=torch.distributed.ReduceOp.MAX)
        terms = (-self.log_variances).exp() * values + self.log_variances / 2
        return (self.fixed * labelled * terms).sum()

    def scores(self) -> dict[str, float]:
        """Return each task's current weight, the fixed one times exp(-s)."""
        found = self.fixed * (-self.log_variances.detach()).exp()
        return dict(zip(self.tasks, found.tolist(), strict=True))
