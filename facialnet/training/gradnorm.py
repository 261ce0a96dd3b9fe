"""Task weights by which all tasks learn at a similar rate."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from facialnet.errors import UserError
from facialnet.training.weighting import TaskWeighting

_LEAST = 1e-3  # of a weight: at 0 or below, a task would no longer be trained, or be unlearnt


class GradNorm(TaskWeighting):
    """Level the tasks' gradients on the shared weights (Chen et al. 2018, section 3, algorithm 1).

    With w the weights found, g the norms of the tasks' gradients on the shared weights and r each
    task's loss as a share of its first one, divided by the tasks' mean share, the norms w * g are
    to become mean(w * g) * r ** alpha. After each batch w takes one step down the gradient of
    sum |w * g - target|, the targets held fixed, and is scaled to add up to the number of tasks.

    Tasks without a label in a batch, and those of fixed weight 0, are passed over: they keep their
    weight and take no part in the means. Under DDP, gradients and losses are averaged over the
    processes before the norms are taken, as one process with the whole batch would have them. The
    weights, and the first losses, are buffers: a resumed run goes on with them. In evaluation the
    fixed weights hold.

    Args:
        weights: task name to its fixed weight, by which the weight found is multiplied.
        alpha: how strongly tasks that lag are pushed; 0 levels the norms.
        lr: step of the weights, as a share of the norms.

    Raises:
        UserError: ``alpha`` is negative or ``lr`` not above 0.
    """

    found: Tensor
    first_losses: Tensor

    def __init__(
        self, *, weights: Mapping[str, float], alpha: float = 1.5, lr: float = 0.025
    ) -> None:
        super().__init__(weights=weights)
        if not 0 <= alpha < math.inf:
            raise UserError(f"weighting.alpha={alpha}: must be 0 or above")
        if not 0 < lr < math.inf:
            raise UserError(f"weighting.lr={lr}: must be above 0")
        self.alpha = alpha
        self.lr = lr
        self.register_buffer("found", torch.ones(len(weights)))
        self.register_buffer("first_losses", torch.zeros(len(weights)))  # 0: not seen yet

    def forward(self, losses: Mapping[str, Tensor], shared: Tensor | None) -> Tensor:
        """Return the weighted sum of a training step, and then move the weights.

        Without ``shared`` they stay where they are.
        """
        if not self.training:
            return super().forward(losses, shared)
        values = self._in_order(losses)
        total = (self.fixed * self.found * values).sum()
        if shared is not None:
            self._move(values.detach(), self._gradients(losses, shared))
        return total

    def scores(self) -> dict[str, float]:
        """Return each task's current weight, the fixed one times the one found."""
        return dict(zip(self.tasks, (self.fixed * self.found).tolist(), strict=True))

    def _gradients(self, losses: Mapping[str, Tensor], shared: Tensor) -> Tensor:
        """Return each task's gradient on the shared weights, float32 [tasks, weights]."""
        # autocast is for forward passes: backward has none either
        with torch.autocast(shared.device.type, enabled=False):
            gradients = [
                torch.autograd.grad(losses[task], shared, retain_graph=True)[0]
                for task in self.tasks
            ]
        return torch.stack([gradient.float().flatten() for gradient in gradients])

    def _move(self, values: Tensor, gradients: Tensor) -> None:
        """Move the weights by the tasks' losses, [tasks], and their gradients."""
        if torch.distributed.is_initialized():
            everything = torch.cat([gradients, values[:, None]], 1)
            torch.distributed.all_reduce(everything)
            everything /= torch.distributed.get_world_size()
            gradients, values = everything[:, :-1], everything[:, -1]
        norms = gradients.norm(dim=1)
        active = (self.fixed > 0) & (values > 0) & (norms > 0) & norms.isfinite()
        unseen = active & (self.first_losses == 0)
        self.first_losses.copy_(torch.where(unseen, values, self.first_losses))
        self.found.copy_(self._moved(values, norms, active))

    def _moved(self, values: Tensor, norms: Tensor, active: Tensor) -> Tensor:
        """Return the next weights, [tasks], without a look at a number: a GPU would wait."""
        count = active.sum().clamp(min=1)
        shares = torch.where(active, values / self.first_losses, 0.0)
        rates = shares / (shares.sum() / count)
        weighted = torch.where(active, self.found * norms, 0.0)
        target = weighted.sum() / count * rates**self.alpha
        stepped = self.found - self.lr * (weighted - target).sign() * norms
        stepped = torch.where(active, stepped.clamp(min=_LEAST), 0.0)
        left = len(self.found) - torch.where(active, 0.0, self.found).sum()
        return torch.where(active, stepped * left / stepped.sum(), self.found)
