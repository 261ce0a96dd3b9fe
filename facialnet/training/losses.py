"""Losses that pass over missing labels, as sums that can be averaged over processes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.labels import IGNORE

# Sum of the weighted losses of the labelled rows (with gradient), sum of those rows' weights.
LossSum = tuple[Tensor, Tensor]


class CrossEntropy(nn.Module):
    """Add up the cross-entropy of the rows that have a label (FacialNet, section III).

    ``mean_loss(*CrossEntropy(...)(logits, targets))`` is what torch's ``cross_entropy`` returns as
    the mean, with the same meaning of label smoothing and class weights, save that a batch without
    any label gives 0, not NaN.

    Args:
        classes: number of classes.
        label_smoothing: share of the target spread evenly over all classes, from 0 to 1.
        class_weights: weight of a row by its class; all rows weigh 1 without it.

    Raises:
        UserError: a value is out of range, or there is not one weight for each class.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        *,
        classes: int,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise UserError(f"loss.label_smoothing={label_smoothing}: must be from 0 to 1")
        if class_weights is not None and len(class_weights) != classes:
            raise UserError(
                f"loss.class_weights has {len(class_weights)} weights for {classes} classes"
            )
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, logits: Tensor, targets: Tensor, row_weights: Tensor | None = None
    ) -> LossSum:
        """Return the sum of weighted losses and the sum of weights, both float32 scalars.

        Rows without a label add exactly 0 to both, and get a gradient of exactly 0.

        Args:
            logits: float [N, classes].
            targets: int64 [N], a class or IGNORE.
            row_weights: float32 [N], multiplied with those of the classes; None: all are 1.
        """
        losses = functional.cross_entropy(
            logits.float(),  # half precision would round a sum over a batch
            targets,
            weight=self.class_weights,
            ignore_index=IGNORE,
            reduction="sum" if row_weights is None else "none",
            label_smoothing=self.label_smoothing,
        )
        weight = weights_of(targets, self.class_weights, row_weights).sum()
        return losses if row_weights is None else (losses * row_weights).sum(), weight


def weights_of(targets: Tensor, class_weights: Tensor | None, row_weights: Tensor | None) -> Tensor:
    """Return each row's weight, float32 [N]: 0 without a label, else class times row weight."""
    weights = (targets != IGNORE).float()
    if class_weights is not None:
        # IGNORE is no index: such rows look up class 0 and are then zeroed. Picking the labelled
        # rows instead would make the GPU wait for their number.
        weights = weights * class_weights[targets.clamp(min=0)]
    return weights if row_weights is None else weights * row_weights


def mean_loss(total: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of a LossSum; 0, still with a gradient of 0, if nothing weighs.

    Under DDP pass the mean of ``weight`` over the processes. DDP averages gradients, so the step
    is then that of one process with the whole batch, however labels are spread.
    """
    return total / torch.where(weight > 0, weight, 1.0)


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Return class weights under which every class that has rows weighs the same in total.

    The weight is rows / (classes * rows of the class) (King & Zeng 2001, as in scikit-learn's
    ``balanced``). A class without rows gets 0: no finite weight would balance it, and 0 keeps
    label smoothing from training towards it.

    Args:
        counts: labelled training rows of each class.
    """
    rows = sum(counts)
    return [rows / (len(counts) * count) if count else 0.0 for count in counts]
