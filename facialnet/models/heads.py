"""Classifiers of one task on top of a backbone's features."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facialnet.errors import UserError
from facialnet.models.initialise import initialise

_OUTPUT_GAIN = 0.1


class MLPHead(nn.Module):
    """Turn features into the logits of one task by dense layers (FacialNet, Tables 2 and 3).

    Each hidden layer is dense, ReLU, dropout; a last dense layer gives the logits. The softmax of
    the paper's tables belongs to the loss.

    Args:
        features: length of the backbone's features.
        classes: number of classes of the task.
        hidden: widths of the hidden layers.
        dropout: share of each hidden layer's outputs that is dropped, one for each width; the
            paper has (0.5, 0.3) for gender and (0.4, 0.2) for age.
        init: starting weights, ``he``, ``glorot`` or ``pytorch``; see ``initialise``.

    Raises:
        UserError: ``init`` is unknown, or ``hidden`` and ``dropout`` differ in length.
    """

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        hidden: Sequence[int] = (512, 64),
        dropout: Sequence[float] = (0.5, 0.3),
        init: str = "he",
    ) -> None:
        super().__init__()
        if len(hidden) != len(dropout):
            raise UserError(
                f"head.hidden has {len(hidden)} widths and head.dropout {len(dropout)} shares: "
                "give one share for each width"
            )
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = features
        for number, (units, share) in enumerate(zip(hidden, dropout, strict=True), start=1):
            layers[f"linear{number}"] = nn.Linear(width, units)
            layers[f"relu{number}"] = nn.ReLU(inplace=True)
            layers[f"dropout{number}"] = nn.Dropout(share)
            width = units
        output = nn.Linear(width, classes)
        layers["output"] = output
        self.layers = nn.Sequential(layers)
        initialise(self, init, key="head.init")
        if init == "he":
            # He's variance keeps signals alive through many ReLUs. No ReLU follows the logits:
            # at full scale they would start as confident guesses, and the first updates would be
            # spent on unlearning them. A tenth of it starts the loss at log(classes).
            with torch.no_grad():
                output.weight.mul_(_OUTPUT_GAIN)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, float [N, classes], of features, float [N, features]."""
        logits: Tensor = self.layers(features)
        return logits
