"""Losses that keep a logit for each class and add the order of the classes to it."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from facialnet.errors import UserError
from facialnet.training.ordinal import OrdinalLoss

# Years in the middle of facialnet.labels.AGE_GROUPS. The last has no end; 70 is near the median
# age, 71, of UTKFace's faces from 60 on.
AGE_MIDDLES = (1.0, 5.0, 10.5, 17.5, 28.5, 40.5, 50.5, 70.0)


class SoftLabels(OrdinalLoss):
    """Cross-entropy against a Gaussian around the class's number, cut off at both ends.

    The target of class k given label y is proportional to exp(-(k - y)^2 / (2 sigma^2)) (Diaz &
    Marathe 2019, section 3, with the squared distance).

    Args:
        classes: number of classes, in their order.
        sigma: standard deviation in classes; with 0.5 a neighbour gets 0.14 of the label's share.
        class_weights: weight of a row by its class; all rows weigh 1 without it.

    Raises:
        UserError: ``sigma`` is not above 0, or there is not one weight for each class.
    """

    coding = "softmax"
    wanted: Tensor

    def __init__(
        self, *, classes: int, sigma: float = 0.5, class_weights: Sequence[float] | None = None
    ) -> None:
        super().__init__(classes=classes, class_weights=class_weights)
        self.register_buffer("wanted", _gaussians(range(classes), sigma), persistent=False)

    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy against each row's Gaussian, float32 [N]."""
        return -(self.wanted[targets] * outputs.log_softmax(1)).sum(1)


class DLDL(OrdinalLoss):
    """Learn a distribution over ages (label distribution learning: Gao et al. 2017, section III).

    A row's loss is the Kullback-Leibler divergence of the network's distribution from a Gaussian
    over years around the middle of the labelled group, taken at the middles of all groups, so that
    near groups share more than far ones. It is 0 where the two agree.

    Args:
        classes: number of classes, in their order.
        sigma: standard deviation in years.
        middles: of the groups, in years, rising.
        class_weights: weight of a row by its class; all rows weigh 1 without it.

    Raises:
        UserError: a value is out of range, or there is not one middle or weight for each class.
    """

    coding = "softmax"
    wanted: Tensor
    entropy: Tensor

    def __init__(
        self,
        *,
        classes: int,
        sigma: float = 3.0,
        middles: Sequence[float] = AGE_MIDDLES,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(classes=classes, class_weights=class_weights)
        if len(middles) != classes:
            raise UserError(
                f"ordinal.middles has {len(middles)} numbers for {classes} classes: give the "
                "middle of each in years, as +ordinal.middles=[…]"
            )
        if any(not low < high for low, high in pairwise(middles)):
            raise UserError(f"ordinal.middles={list(middles)}: each must be above the one before")
        wanted = _gaussians(middles, sigma)
        self.register_buffer("wanted", wanted, persistent=False)
        self.register_buffer("entropy", -torch.xlogy(wanted, wanted).sum(1), persistent=False)

    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the divergence of each row, float32 [N]."""
        crossed = -(self.wanted[targets] * outputs.log_softmax(1)).sum(1)
        return crossed - self.entropy[targets]


class Expectation(OrdinalLoss):
    """Cross-entropy plus the error of the expected class (Gao et al. 2018, DLDL-v2, section 3).

    The expected class is the sum of the classes' numbers, each times its probability; its distance
    to the label is added, times ``error_weight``. DLDL-v2 joins it to DLDL's divergence and answers
    by the expected age; here the likeliest class stays the answer.

    Args:
        classes: number of classes, in their order.
        error_weight: of the distance; 1 in the paper.
        class_weights: weight of a row by its class; all rows weigh 1 without it.

    Raises:
        UserError: ``error_weight`` is negative, or there is not one weight for each class.
    """

    coding = "softmax"
    numbers: Tensor

    def __init__(
        self,
        *,
        classes: int,
        error_weight: float = 1.0,
        class_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__(classes=classes, class_weights=class_weights)
        if not 0 <= error_weight < math.inf:
            raise UserError(f"ordinal.error_weight={error_weight}: must be 0 or above")
        self.error_weight = error_weight
        self.register_buffer("numbers", torch.arange(classes).float(), persistent=False)

    def row_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy and weighted distance of each row, float32 [N]."""
        logs = outputs.log_softmax(1)
        # a product of matrices would be rounded to half precision under autocast
        distance = ((logs.exp() * self.numbers).sum(1) - targets).abs()
        return -logs.gather(1, targets[:, None])[:, 0] + self.error_weight * distance


def _gaussians(middles: Sequence[float], sigma: float) -> Tensor:
    """Return a Gaussian around each middle, taken at all of them; rows add up to 1."""
    if not 0 < sigma < math.inf:
        raise UserError(f"ordinal.sigma={sigma}: must be above 0")
    places = torch.tensor(middles, dtype=torch.float64)
    exponents = -((places[None] - places[:, None]) ** 2) / (2 * sigma**2)
    return exponents.softmax(1).float()
