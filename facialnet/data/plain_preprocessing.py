"""From a checkpoint's plain settings to the preprocessing that its network was trained with."""

import importlib
from collections.abc import Mapping
from typing import Any

from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError

# Settings name classes, so they may name only these modules' transforms: they must not run code.
_PREPROCESSING = "facialnet.data.transforms.Preprocessing"
_STEPS = ("facialnet.data.transforms", "albumentations")


def preprocessing_from_plain(spec: Mapping[str, Any]) -> Preprocessing:
    """Build the preprocessing that plain settings describe, as in a checkpoint's card.

    Args:
        spec: ``_target_`` and the arguments of Preprocessing; each of its ``steps`` has a
            ``_target_`` and arguments of its own, or is None.

    Raises UserError where a target is no transform, or an argument is wrong.
    """
    if spec.get("_target_") != _PREPROCESSING:
        raise UserError(f"preprocess._target_={spec.get('_target_')}: expected {_PREPROCESSING}")
    arguments = {key: value for key, value in spec.items() if key != "_target_"}
    steps = {
        name: None if step is None else _step(step, f"preprocess.steps.{name}")
        for name, step in (arguments.pop("steps", None) or {}).items()
    }
    try:
        return Preprocessing(**arguments, steps=steps)
    except TypeError as error:
        raise UserError(f"preprocess: {error}") from error


def _step(spec: Mapping[str, Any], where: str) -> Any:
    target = str(spec.get("_target_"))
    module, _, name = target.rpartition(".")
    if module not in _STEPS:
        raise UserError(f"{where}._target_={target}: only transforms of {_STEPS} are allowed")
    cls = getattr(importlib.import_module(module), name, None)
    basis = importlib.import_module("albumentations").BasicTransform
    if not (isinstance(cls, type) and issubclass(cls, basis)):
        raise UserError(f"{where}._target_={target} is not a transform")
    try:
        return cls(**{key: value for key, value in spec.items() if key != "_target_"})
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
