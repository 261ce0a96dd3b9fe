"""Classifiers of one task on top of a backbone's features."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.codings import log_probabilities, output_count
from facialnet.models.initialise import initialise

_OUTPUT_GAIN = 0.1
NORMS = ("none", "before", "after")


class Head(nn.Module):
    """What all heads share: outputs that a coding turns into probabilities of classes.

    Attributes:
        coding: how the outputs stand for classes; see ``facialnet.models.codings``.
        given: the task whose answer the head takes beside the features, or None.
    """

    given: str | None = None

    def __init__(self, *, coding: str = "softmax") -> None:
        super().__init__()
        self.coding = coding

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return each class's log-probability, float32 [N, classes], from the head's outputs."""
        return log_probabilities(outputs, self.coding)


class MLPHead(Head):
    """Turn features into the outputs of one task by dense layers (FacialNet, Tables 2 and 3).

    Each hidden layer is dense, ReLU, dropout; a last dense layer gives the outputs. The softmax of
    the paper's tables belongs to the loss.

    Args:
        features: length of the backbone's features.
        classes: number of classes of the task.
        hidden: widths of the hidden layers.
        dropout: share of each hidden layer's outputs that is dropped, one for each width or one
            for all; FacialNet has (0.5, 0.3) for gender and (0.4, 0.2) for age.
        norm: batch normalisation ``before`` every dense layer (Adience comparison, section 2.2),
            ``after`` every hidden one (LFW gender CNN, figure 9), or ``none``.
        sigmoid: answer a task of two classes by one output z, the logits being 0 and z, whose
            softmax is the sigmoid of z. Tasks of more classes keep one output for each.
        coding: how the outputs stand for classes; see ``facialnet.models.codings``.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Raises:
        UserError: a value is unknown or out of range, or ``hidden`` and ``dropout`` differ in
            length.
    """

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        hidden: Sequence[int] = (512, 64),
        dropout: Sequence[float] | float = (0.5, 0.3),
        norm: str = "none",
        sigmoid: bool = False,
        coding: str = "softmax",
        init: str = "he",
    ) -> None:
        super().__init__(coding=coding)
        if norm not in NORMS:
            raise UserError(f"head.norm={norm}: allowed values are {', '.join(NORMS)}")
        self.normed = norm != "none"
        self.sigmoid = sigmoid and classes == 2 and coding == "softmax"
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = features
        for number, (units, share) in enumerate(_layers(hidden, dropout), start=1):
            if norm == "before":
                layers[f"norm{number}"] = nn.BatchNorm1d(width)
            layers[f"linear{number}"] = nn.Linear(width, units)
            if norm == "after":
                layers[f"norm{number}"] = nn.BatchNorm1d(units)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"dropout{number}"] = nn.Dropout(share)
            width = units
        if norm == "before":
            layers["output_norm"] = nn.BatchNorm1d(width)
        outputs = 1 if self.sigmoid else output_count(coding, classes)
        layers["output"] = (
            _OneSlope(width, outputs) if coding == "coral" else nn.Linear(width, outputs)
        )
        self.layers = nn.Sequential(layers)
        initialise(self, init, key="head.init")
        if init == "he":
            # He's variance keeps signals alive through many ReLUs. No ReLU follows the logits:
            # at full scale they would start as confident guesses, and the first updates would be
            # spent on unlearning them. A tenth of it starts the loss at log(classes).
            output = next(m for m in layers["output"].modules() if isinstance(m, nn.Linear))
            with torch.no_grad():
                output.weight.mul_(_OUTPUT_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs, float [N, classes] or one less, of features, float [N, features].

        Raises UserError where a norm is to be trained on a single row.
        """
        if self.training and self.normed and len(features) == 1:
            raise UserError(
                "a head with norms cannot be trained on one picture at a time: data.batch_size "
                "must be at least 2"
            )
        outputs: Tensor = self.layers(features)
        return torch.cat([torch.zeros_like(outputs), outputs], 1) if self.sigmoid else outputs


class _OneSlope(nn.Module):
    """One weight vector with a bias for each threshold (CORAL: Cao et al. 2020, section 3.3).

    All thresholds share the slope, so that they differ by their biases alone. These start evenly
    spread around 0, the first the highest.
    """

    def __init__(self, width: int, thresholds: int) -> None:
        super().__init__()
        self.slope = nn.Linear(width, 1, bias=False)
        self.biases = nn.Parameter(torch.linspace(1.0, -1.0, thresholds))

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.slope(features) + self.biases
        return outputs


def _layers(hidden: Sequence[int], dropout: Sequence[float] | float) -> list[tuple[int, float]]:
    """Pair every width with its dropout."""
    if isinstance(dropout, int | float):
        dropout = [dropout] * len(hidden)
    if len(hidden) != len(dropout):
        raise UserError(
            f"head.hidden has {len(hidden)} widths and head.dropout {len(dropout)} shares: "
            "give one share for each width, or one number for all"
        )
    if any(not 0 <= share < 1 for share in dropout):
        raise UserError(f"head.dropout={list(dropout)}: shares must be from 0 to below 1")
    return list(zip(hidden, dropout, strict=True))
