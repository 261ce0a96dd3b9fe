"""Which parameters weight decay acts on."""

from typing import Any

from torch import nn


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups for an optimiser: with weight decay and without.

    Decay acts on weights of convolutions and dense layers only. Biases and the scales and shifts
    of norms have one dimension each; pulling them to zero limits no capacity and hurts norms
    (Goyal et al. 2017, section 5.1). Frozen parameters are left out.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
