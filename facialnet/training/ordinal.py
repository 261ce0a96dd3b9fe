"""Losses for classes in an order, such as age groups; each says which outputs it is made for."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from facialnet.errors import UserError
from facialnet.models.codings import output_count
from facialnet.training.losses import LossSum, weights_of


class OrdinalLoss(nn.Module):
    """Add up the losses of the rows that have a label; what a row's loss is, subclasses say.

    Attributes:
        coding: what the outputs must stand for; see ``facialnet.models.codings``.

    Args:
        classes: number of classes, in their order.
        class_weights: weight of a row by its class; all rows weigh 1 without it.

    Raises:
        UserError: there is not one weight for each class.
    """

    coding: ClassVar[str]
    class_weights: Tensor | None

    def __init__(self, *, classes: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if class_weights is not None and len(class_weights) != classes:
            raise UserError(
                f"loss.class_weights has {len(class_weights)} weights for {classes} classes"
            )
        self.outputs = output_count(self.coding, classes)
        weights = None if class_weights is None else torch.tensor(class_weights).float()
        self.register_buffer("class_weights", weights, persistent=False)

    def forward(
        self, outputs: Tensor, targets: Tensor, row_weights: Tensor | None = None
    ) -> LossSum:
        """Return the sum of weighted losses and the sum of weights, both float32 scalars.

        Rows without a label add exactly 0 to both, and get a gradient of exactly 0.

        Args:
            outputs: float [N, classes], or [N, classes - 1] for codings by thresholds.
            targets: int64 [N], a class or IGNORE.
            row_weights: float32 [N], multiplied with those of the classes; None: all are 1.

        Raises:
            UserError: the head gives another number of outputs.
        """
        if outputs.shape[1] != self.outputs:
            raise UserError(
                f"ordinal: {type(self).__name__} needs a head with coding={self.coding}, which has "
                f"{self.outputs} outputs; this one has {outputs.shape[1]}"
            )
        weights = weights_of(targets, self.class_weights, row_weights)
        # IGNORE is no class: such rows are taken for class 0, and weigh nothing.
        losses = self.row_losses(outputs.float(), targets.clamp(min=0))
        return (losses * weights).sum(), weights.sum()

    @abstractmethod
    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each row's loss, float32 [N].

        Args:
            outputs: float32, as in ``forward``.
            targets: int64 [N], a class each.
        """


class Coral(OrdinalLoss):
    """Ask of every class but the last: is it older? (CORAL: Cao et al. 2020, section 3).

    A row's loss is the sum of the binary cross-entropies of its K - 1 answers. Its head has one
    weight vector for all of them, which is what keeps them in order. The importance that the
    paper may give a threshold is left at 1; ``class_weights`` are there for uneven classes.
    """

    coding = "coral"

    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over the thresholds, float32 [N]."""
        return _answers(outputs, targets).sum(1)


class OrCnn(Coral):
    """Ask as CORAL does, with weights of its own for every threshold (Niu et al. 2016, section 3).

    The paper's two outputs a threshold, under a softmax, are one under a sigmoid here: their
    difference. Its importance of a threshold, by the root of the pictures of a rank, is left at 1.
    Answers may contradict each other; see ``facialnet.models.codings``.
    """

    coding = "or_cnn"


class Corn(OrdinalLoss):
    """Ask of each class: is it older, if it is not younger? (CORN: Shi et al. 2021).

    Answer k is trained on the rows of class k and beyond alone, its conditional subset. A row's
    loss is the sum of the binary cross-entropies of the answers whose subsets it is in, from 1 for
    class 0 to K - 1: the negative log-likelihood of its class. The paper divides a batch's sum by
    the sizes of all subsets; here it is divided by the rows' weights, as for all losses, so that
    rows count the same whatever classes share their batch or their process. That is the paper's
    loss times the mean number of subsets that a row is in.
    """

    coding = "corn"

    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over the thresholds that a row gets to, float32 [N]."""
        thresholds = torch.arange(outputs.shape[1], device=outputs.device)
        return (_answers(outputs, targets) * (targets[:, None] >= thresholds)).sum(1)


def _answers(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each threshold's binary cross-entropy, [N, classes - 1]."""
    beyond = targets[:, None] > torch.arange(outputs.shape[1], device=outputs.device)
    return functional.binary_cross_entropy_with_logits(outputs, beyond.float(), reduction="none")
