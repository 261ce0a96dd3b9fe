"""From plain configuration to a network, in training and out of a checkpoint alike."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from facialnet.errors import UserError
from facialnet.labels import Task
from facialnet.models.heads import Head
from facialnet.models.multitask import MultiTaskNetwork

# A checkpoint names classes, so it may name only these packages' classes: it must not run code.
_PACKAGES = ("facialnet.models.",)


def build_network(
    spec: Mapping[str, Any], tasks: Mapping[str, Task], *, starting_weights: bool = True
) -> MultiTaskNetwork:
    """Build a network with its starting weights: drawn, or pre-trained where the backbone says so.

    Args:
        spec: ``backbone`` and ``heads`` (task name to head), each with ``_target_`` and the
            constructor's arguments, and ``mean`` and ``std`` of the pixels.
        tasks: gives each head its number of classes.
        starting_weights: False where weights are loaded afterwards anyway: pre-trained ones are
            then not looked for.

    Raises:
        UserError: a target is not a network of this package, or an argument is wrong.
    """
    of_backbone = dict(spec["backbone"])
    if not starting_weights and "pretrained" in of_backbone:
        of_backbone |= {"pretrained": False, "weights": None}
    backbone = _construct(of_backbone, "model.backbone")
    heads: dict[str, Head] = {}
    for name, task in tasks.items():
        where, of_head = f"tasks.{name}.head", dict(spec["heads"][name])
        given = {"features": backbone.features, "classes": len(task.classes)}
        if (other := of_head.get("given")) is not None:
            if other not in heads:
                raise UserError(
                    f"{where}.given={other}: there must be a task of this name before {name}; "
                    f"there is {', '.join(heads) or 'none'}"
                )
            given["given_classes"] = len(tasks[other].classes)
        head = _construct(of_head, where, **given)
        if not isinstance(head, Head):
            raise UserError(f"{where}._target_={of_head['_target_']} is not a head")
        heads[name] = head
    return MultiTaskNetwork(backbone, heads, mean=spec["mean"], std=spec["std"])


def _construct(spec: Mapping[str, Any], where: str, **given: Any) -> nn.Module:
    target = str(spec["_target_"])
    module, _, name = target.rpartition(".")
    if not f"{module}.".startswith(_PACKAGES):
        raise UserError(f"{where}._target_={target}: only networks of {_PACKAGES[0]}* are allowed")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(f"{where}._target_={target}: there is no such network") from None
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise UserError(f"{where}._target_={target} is not a network")
    arguments = {key: value for key, value in spec.items() if key != "_target_"}
    try:
        network: nn.Module = cls(**arguments, **given)
    except TypeError as error:
        raise UserError(f"{where}: {error}") from error
    return network
