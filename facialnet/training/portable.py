"""Checkpoints to pass on: half-precision weights and their card in one safetensors file.

The file holds nothing that could run: tensors, and the card as JSON in the header under the key
``facialnet``. It is what ships with the project; ``training.checkpoint.read_checkpoint`` reads it
like any other checkpoint. A run cannot go on from it, since the optimiser's state is not in it.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from facialnet.errors import UserError, gist

SUFFIX = ".safetensors"
_KEY = "facialnet"
# What a card cannot do without, and of which type it is.
_NEEDED: dict[str, type] = {
    "format": int,
    "tasks": dict,
    "model": dict,
    "preprocess": dict,
    "data": dict,
    "choices": dict,
    "calibration": dict,
    "config": dict,
}
_NEEDED_OF_A_TASK: dict[str, type | tuple[type, ...]] = {
    "column": str,
    "classes": list,
    "ordinal": bool,
    "weight": (int, float),
}
_WINDOWS_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def write_portable(path: Path, card: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write weights in half precision, and the card without folders of this machine.

    A tensor that half precision cannot hold, such as a variance above 65,504, stays as it is; so
    do whole numbers. Of absolute paths in the card only the last name is kept.

    Args:
        path: the file; replaced whole or not at all.
        card: see ``training.checkpoint``.
        weights: the network's state dict.
    """
    text = json.dumps(_without_places(card), allow_nan=False)
    halves = {name: _halved(tensor).contiguous() for name, tensor in weights.items()}
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(save(halves, metadata={_KEY: text}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_portable(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the card, not checked but for being an object, and the weights, floats as float32.

    Raises UserError where the file is damaged or has no card of facialnet.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                raise UserError(
                    f"{path.absolute()} holds weights alone, without a card of facialnet: start a "
                    "training with them by init_from=FILE"
                )
            card = _parsed(text, path)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"checkpoint {path.absolute()} cannot be read: it is damaged or not a safetensors file "
            f"({gist(error)[:80]})"
        ) from error
    return card, {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}


def has_card(path: Path) -> bool:
    """Return whether a file is a checkpoint of this kind, not weights alone."""
    if path.suffix != SUFFIX or not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def check_card(path: Path, card: Mapping[str, Any]) -> None:
    """Raise UserError, naming the first fault, unless a card has all that a network is built from.

    What the parts hold is checked where they are used: see ``models.construction``.
    """
    for key, kind in _NEEDED.items():
        if not isinstance(card.get(key), kind):
            _refuse(path, f"its card's {key} is missing or no {kind.__name__}")
    model = card["model"]
    for key in ("mean", "std"):
        if not isinstance(model.get(key), list):
            _refuse(path, f"its card's model.{key} is missing or no list")
    heads = model["heads"] if isinstance(model.get("heads"), dict) else {}
    parts = {f"heads.{name}": heads.get(name) for name in card["tasks"]}
    parts["backbone"] = model.get("backbone")
    for name, part in parts.items():
        if not isinstance(part, dict) or "_target_" not in part:
            _refuse(path, f"its card's model.{name} is missing or names no class")
    for name, task in card["tasks"].items():
        _check_task(path, name, task)


def _check_task(path: Path, name: str, task: Any) -> None:
    for key, kinds in _NEEDED_OF_A_TASK.items():
        if not isinstance(task, dict) or not isinstance(task.get(key), kinds):
            _refuse(path, f"its card's tasks.{name}.{key} is missing or of a wrong type")
    if not task["classes"] or not all(isinstance(each, str) for each in task["classes"]):
        _refuse(path, f"its card's tasks.{name}.classes are no names")


def check_weights(
    path: Path, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Raise UserError, naming the first difference, unless weights are those of a network.

    Args:
        path: of the file, for the message.
        weights: what the file holds.
        expected: the network's state dict; only names, shapes and types are looked at.
    """
    if missing := [name for name in expected if name not in weights]:
        _refuse(path, f"the network of its card has {missing[0]}, the file does not")
    if unknown := [name for name in weights if name not in expected]:
        _refuse(path, f"it holds {unknown[0]}, which the network of its card does not have")
    for name, tensor in expected.items():
        there = weights[name]
        if there.shape != tensor.shape:
            _refuse(path, f"{name} is {list(there.shape)} there, {list(tensor.shape)} by its card")
        if there.is_floating_point() != tensor.is_floating_point():
            _refuse(path, f"{name} is {there.dtype} there, {tensor.dtype} by its card")
        if there.is_floating_point() and not there.isfinite().all():
            _refuse(path, f"{name} is not finite")


def _parsed(text: str, path: Path) -> dict[str, Any]:
    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number")

    try:
        card = json.loads(text, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"its card is not plain JSON ({gist(error)[:80]})")
    if not isinstance(card, dict):
        _refuse(path, "its card is no object")
    return card


def _refuse(path: Path, why: str) -> NoReturn:
    raise UserError(f"checkpoint {path.absolute()} cannot be used: {why}")


def _halved(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    half = tensor.to(torch.float16)
    return half if half.isfinite().all() else tensor


def _without_places(value: Any) -> Any:
    """Return plain data with the last name in place of every absolute path."""
    if isinstance(value, Mapping):
        return {key: _without_places(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(each) for each in value]
    if isinstance(value, str) and value.startswith("/"):
        return PurePosixPath(value).name
    if isinstance(value, str) and _WINDOWS_DRIVE.match(value):
        return PureWindowsPath(value).name
    return value
