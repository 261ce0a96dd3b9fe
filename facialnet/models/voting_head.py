"""A classifier that lets several parts of a picture vote."""

import math
from collections.abc import Sequence

from torch import Tensor

from facialnet.errors import UserError
from facialnet.models.heads import Head, MLPHead


class VotingHead(Head):
    """Answer every part of a picture by one MLPHead and average the probabilities.

    The sum of the posteriors over nine patches (Liao et al. 2017; ImageNet transfer, section 2.4).
    There every patch is a training image of its own; here the loss is that of the combined answer,
    so that all heads are trained by the same losses.

    Args:
        features: length of one part's features.
        classes: number of classes of the task.
        hidden: widths of the hidden layers.
        dropout, norm, sigmoid, init: see MLPHead.
        coding: must be ``softmax``: what is averaged are probabilities of classes.

    Raises:
        UserError: a value is unknown or out of range.
    """

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        hidden: Sequence[int] = (),
        dropout: Sequence[float] | float = 0.0,
        norm: str = "none",
        sigmoid: bool = False,
        coding: str = "softmax",
        init: str = "he",
    ) -> None:
        super().__init__(coding=only_softmax(coding, "VotingHead"))
        self.vote = MLPHead(
            features=features,
            classes=classes,
            hidden=hidden,
            dropout=dropout,
            norm=norm,
            sigmoid=sigmoid,
            init=init,
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return log-probabilities, float [N, classes], of features, float [N, parts, features]."""
        if features.ndim != 3:
            raise UserError(
                "VotingHead needs features of several parts of a picture, such as those of "
                "model=local_patches"
            )
        pictures, parts = features.shape[:2]
        votes = self.vote(features.flatten(0, 1)).log_softmax(-1)
        shared: Tensor = votes.unflatten(0, (pictures, parts)).logsumexp(1) - math.log(parts)
        return shared


def only_softmax(coding: str, head: str) -> str:
    """Return the coding; raises UserError where it is not that of probabilities of classes."""
    if coding != "softmax":
        raise UserError(
            f"head.coding={coding}: {head} mixes probabilities of classes; choose an `ordinal` "
            "without thresholds, such as none"
        )
    return coding
