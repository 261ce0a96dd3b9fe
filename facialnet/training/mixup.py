"""Training faces mixed with one another, labels and all."""

from typing import Any

import torch
from torch import Tensor

from facialnet.errors import UserError

Batch = dict[str, Any]


class Mixup:
    """Lay over each face of a batch another one of it (Zhang et al., ICLR 2018, section 2).

    A batch is mixed with itself in another order, in one proportion for all of its rows, drawn from
    Beta(alpha, alpha). The loss is mixed likewise, so that a row keeps the labels that it has, and
    one without a label for a task still adds nothing to it.

    Args:
        alpha: above 0; the larger, the nearer to halves.

    Raises UserError for another alpha.
    """

    def __init__(self, alpha: float) -> None:
        if not isinstance(alpha, int | float) or not alpha > 0:
            raise UserError(f"mixup={alpha}: give a number above 0, or null for none")
        self.alpha = alpha

    def __call__(self, batch: Batch) -> tuple[Tensor, Batch, float]:
        """Return the mixed faces, the other rows' labels, and the share that these have in them.

        Draws from PyTorch's generator.

        Args:
            batch: ``images`` [N, C, H, W] in 0..255, ``targets`` of every task [N], and perhaps
                ``weights`` [N].

        Returns:
            float32 images; a batch without images, in the other order; a share of at most a half,
            so that the rows' own labels are still what they mostly show.
        """
        images: Tensor = batch["images"]
        drawn = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        share = min(drawn, 1 - drawn)
        order = torch.randperm(len(images), device=images.device)
        others: Batch = {"targets": {name: rows[order] for name, rows in batch["targets"].items()}}
        if batch.get("weights") is not None:
            others["weights"] = batch["weights"][order]
        own = images.float()
        return own.lerp(own[order], share), others, share
