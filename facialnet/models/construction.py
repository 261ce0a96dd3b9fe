"""From plain configuration to a network, in training and out of a checkpoint alike."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from facialnet.errors import UserError
from facialnet.labels import Task
from facialnet.models.multitask import MultiTaskNetwork

# A checkpoint names classes, so it may name only these packages' classes: it must not run code.
_PACKAGES = ("facialnet.models.",)


def build_network(spec: Mapping[str, Any], tasks: Mapping[str, Task]) -> MultiTaskNetwork:
    """Build a network with fresh weights.

    Args:
        spec: ``backbone`` and ``heads`` (task name to head), each with ``_target_`` and the
            constructor's arguments, and ``mean`` and ``std`` of the pixels.
        tasks: gives each head its number of classes.

    Raises:
        UserError: a target is not a network of this package, or an argument is wrong.
    """
    backbone = _construct(spec["backbone"], "model.backbone")
    heads = {
        name: _construct(
            spec["heads"][name],
            f"tasks.{name}.head",
            features=backbone.features,
            classes=len(task.classes),
        )
        for name, task in tasks.items()
    }
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
