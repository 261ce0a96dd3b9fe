"""Which parameters weight decay acts on, and how fast the parts of a network learn."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from facialnet.errors import UserError


def parameter_groups(
    network: nn.Module,
    weight_decay: float,
    *,
    backbone_lr: float = 1.0,
    others: nn.Module | None = None,
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimiser: with weight decay and without.

    Decay acts on weights of convolutions and dense layers only. Biases and the scales and shifts
    of norms have one dimension each; pulling them to zero limits no capacity and hurts norms
    (Goyal et al. 2017, section 5.1). Frozen parameters are left out. Each group's ``lr_share`` is
    its learning rate as a share of the optimiser's; the backbone's groups, if there are any, come
    last and have a ``name``, under which their rates are logged.

    Args:
        network: what is trained; with a part ``backbone``, unless ``backbone_lr`` is 1.
        weight_decay: of the groups with decay.
        backbone_lr: share of the learning rate that the backbone gets; other than 1, its
            parameters form groups of their own.
        others: parameters that are no part of the network, trained without decay.

    Raises:
        UserError: ``backbone_lr`` is not above 0.
    """
    if not 0 < backbone_lr < float("inf"):
        raise UserError(f"backbone_lr={backbone_lr} must be above 0; to freeze: callbacks=finetune")
    named = list(network.named_parameters())
    inside = [p for name, p in named if backbone_lr != 1 and name.startswith("backbone.")]
    apart = {id(p) for p in inside}
    rest = [p for _, p in named if id(p) not in apart]
    groups = _decayed_and_not(rest, weight_decay, 1.0)
    groups[-1]["params"] += list(others.parameters()) if others is not None else []
    if backbone_lr != 1:
        slower = _decayed_and_not(inside, weight_decay, backbone_lr)
        groups += [g | {"name": f"backbone_pg{i}"} for i, g in enumerate(slower, start=1)]
    return groups


def _decayed_and_not(
    parameters: Iterable[nn.Parameter], weight_decay: float, lr_share: float
) -> list[dict[str, Any]]:
    trainable = [p for p in parameters if p.requires_grad]
    return [
        {
            "params": [p for p in trainable if p.ndim > 1],
            "weight_decay": weight_decay,
            "lr_share": lr_share,
        },
        {
            "params": [p for p in trainable if p.ndim <= 1],
            "weight_decay": 0.0,
            "lr_share": lr_share,
        },
    ]
