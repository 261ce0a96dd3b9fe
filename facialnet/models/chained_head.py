"""A classifier that is told another task's answer."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facialnet.models.heads import Head, MLPHead
from facialnet.models.voting_head import only_softmax


class ChainedHead(Head):
    """Answer a task given the answer to another: age given gender (Ekmekji 2016).

    There are as many MLPHeads as the given task has classes, each the answer for one of them:
    p(age | face) = sum over genders of p(gender | face) p(age | face, gender).

    Ekmekji (ImageNet transfer, section 2.3) trains a gender network and one age network for each
    gender on that gender's faces, and lets the predicted gender choose one of the two. Here all
    share one backbone; each head sees all faces, weighted by how probable its gender is; and an
    unsure gender mixes two answers in place of choosing one, so no face falls into the wrong half
    altogether. The gender's probabilities are taken as they are: no gradient of the age goes
    through them, lest the gender head learn to answer whatever makes the age easy.

    Args:
        features: length of the backbone's features.
        classes: number of classes of the task.
        given: name of the other task, whose head must come before.
        given_classes: number of its classes.
        hidden, dropout, norm, sigmoid, init: of each MLPHead.
        coding: must be ``softmax``: what is mixed are probabilities of classes.

    Attributes:
        given_gradient: let gradients through the given probabilities after all, which explaining
            an answer needs; False in training.

    Raises:
        UserError: a value is unknown or out of range.
    """

    given_gradient = False

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        given: str,
        given_classes: int,
        hidden: Sequence[int] = (512, 64),
        dropout: Sequence[float] | float = (0.4, 0.2),
        norm: str = "none",
        sigmoid: bool = False,
        coding: str = "softmax",
        init: str = "he",
    ) -> None:
        super().__init__(coding=only_softmax(coding, "ChainedHead"))
        self.given = given
        self.answers = nn.ModuleList(
            MLPHead(
                features=features,
                classes=classes,
                hidden=hidden,
                dropout=dropout,
                norm=norm,
                sigmoid=sigmoid,
                init=init,
            )
            for _ in range(given_classes)
        )

    def forward(self, features: Tensor, given: Tensor) -> Tensor:
        """Return log-probabilities, float [N, classes].

        Args:
            features: float [N, features].
            given: log-probabilities of the given task, float [N, given classes].
        """
        answers = [answer(features).log_softmax(-1) for answer in self.answers]
        weights = given if self.given_gradient else given.detach()
        mixed: Tensor = (torch.stack(answers, 2) + weights[:, None, :]).logsumexp(2)
        return mixed
