"""Reading checkpoints: weights beside a plain card that says how to use them.

The card (key ``facialnet``) holds ``format``, ``tasks``, ``model``, ``preprocess``, ``store``,
``choices``, ``data``, ``protocol``, ``training``, ``init`` (see ``training.transfer``),
``calibration``, ``stamp`` and ``config``: numbers, texts, lists and dictionaries only, so that
``torch.load`` opens the file with ``weights_only=True``. A card may also have ``layout``, where the
five points of a face lie in the stored picture. Files to pass on: see ``training.portable``.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facialnet.errors import UserError, gist
from facialnet.labels import Task
from facialnet.models.construction import build_network
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.training.checkpoint_io import AtomicCheckpointIO
from facialnet.training.portable import SUFFIX, check_card, check_weights, read_portable

CARD = "facialnet"
FORMAT = 3  # of the card
_PREFIX = "network."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint file that was read.

    Attributes:
        path: the file.
        card: plain settings; see the module's docstring.
        weights: the network's state dict; averaged weights where the run averaged them.
    """

    path: Path
    card: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks that the network was trained on."""
        return tasks_from_plain(self.card["tasks"])

    @property
    def temperatures(self) -> dict[str, float]:
        """Task name to the temperature that calibrates it; tasks without one are left out."""
        fitted = self.card.get("calibration") or {}
        return {name: float(entry["temperature"]) for name, entry in fitted.items()}

    def network(self) -> MultiTaskNetwork:
        """Build the network, load the weights and switch to evaluation."""
        network = build_network(self.card["model"], self.tasks, starting_weights=False)
        network.load_state_dict(self.weights)
        return network.eval()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: a training's own file, or one to pass on (.safetensors).

    Raises UserError where the file is missing, damaged or not one of facialnet's.
    """
    if path.is_dir():
        raise UserError(
            f"{path.absolute()} is a folder; name a file in it, such as "
            f"{path.absolute() / 'checkpoints/best.ckpt'}"
        )
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path.absolute()}")
    if path.suffix == ".onnx":
        raise UserError(
            f"{path.absolute()} answers only (facialnet.predict): name the checkpoint that it was "
            "made of"
        )
    if path.suffix == SUFFIX:
        return _read_portable(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(
            f"checkpoint {path.absolute()} cannot be read: it is damaged or not a checkpoint "
            f"({gist(error)[:80]})"
        ) from error
    if not isinstance(content, dict) or CARD not in content or "state_dict" not in content:
        raise UserError(f"{path.absolute()} is not a checkpoint of facialnet")
    _check_format(path, content[CARD])
    weights = {
        name.removeprefix(_PREFIX): value
        for name, value in content["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    return Checkpoint(path, content[CARD], weights)


def _read_portable(path: Path) -> Checkpoint:
    """Read a file that may come from anywhere: its card must describe the weights that it holds."""
    card, weights = read_portable(path)
    _check_format(path, card)
    check_card(path, card)
    tasks = tasks_from_plain(card["tasks"])
    try:
        with torch.device("meta"):  # no memory for a network that the weights do not belong to
            network = build_network(card["model"], tasks, starting_weights=False)
    except (RuntimeError, ValueError, TypeError) as error:
        raise UserError(
            f"checkpoint {path.absolute()} cannot be used: its card describes no network "
            f"({gist(error)[:80]})"
        ) from error
    check_weights(path, weights, network.state_dict())
    return Checkpoint(path, card, weights)


def _check_format(path: Path, card: dict[str, Any]) -> None:
    if card.get("format") != FORMAT:
        raise UserError(
            f"{path.absolute()} has format {card.get('format')}, and this version of "
            f"facialnet reads format {FORMAT}: use the version that wrote it, or train again"
        )


def store_calibration(
    path: Path,
    calibration: dict[str, dict[str, Any]],
    stamp: str | None,
    layout: list[list[float]] | None = None,
) -> None:
    """Put each task's calibration, a leaky split's stamp and the layout into a checkpoint's card.

    Args:
        path: the file; replaced whole, the weights as they were.
        calibration: task name to what ``evaluation.calibration.fit_calibration`` returned.
        stamp: what the leak guard found, None where it found nothing.
        layout: where the five points of a face lie in the stored pictures, five [x, y] in shares
            of the side; None where it is not known.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    content[CARD] = content[CARD] | {
        "calibration": calibration,
        "stamp": stamp,
        "layout": layout,
    }
    AtomicCheckpointIO().save_checkpoint(content, path)


def check_fit(checkpoint: Checkpoint, card: dict[str, Any]) -> None:
    """Raise UserError, naming the first difference, unless a run may go on from a checkpoint.

    Settings that shape the network, its data or its random draws must be the same; the length of
    the run and where things are written may differ.
    """
    if checkpoint.path.suffix == SUFFIX:
        raise UserError(
            f"ckpt_path={checkpoint.path}: a run cannot go on from weights alone; start a new one "
            "with init_from=FILE"
        )
    for key in ("tasks", "model", "preprocess", "store", "protocol", "training"):
        there, here = checkpoint.card.get(key), card.get(key)
        if there != here:
            name, old, new = _first_difference(key, there, here)
            raise UserError(
                f"checkpoint {checkpoint.path.absolute()} does not fit the configuration: {name} "
                f"is {old!r} there and {new!r} here; set it as it was, or leave ckpt_path out"
            )


def _first_difference(name: str, there: Any, here: Any) -> tuple[str, Any, Any]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            if there.get(key) != here.get(key):
                return _first_difference(f"{name}.{key}", there.get(key), here.get(key))
    return name, there, here


def tasks_from_plain(plain: dict[str, dict[str, Any]]) -> dict[str, Task]:
    """Return the tasks that plain settings describe."""
    return {
        name: Task(
            name=name,
            column=settings["column"],
            classes=tuple(settings["classes"]),
            ordinal=settings["ordinal"],
            weight=settings["weight"],
        )
        for name, settings in plain.items()
    }
