"""Starting a network with weights that were learnt elsewhere, as far as they fit."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from facialnet.errors import UserError
from facialnet.models.multitask import MultiTaskNetwork
from facialnet.models.pretrained import read_weights
from facialnet.training.checkpoint import read_checkpoint
from facialnet.training.matching import match, part_of
from facialnet.training.portable import has_card

_WEIGHT_FILES = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True)
class Source:
    """Weights out of a file, by the names that they have there.

    Attributes:
        path: the file.
        weights: name to tensor.
        card: what a checkpoint of facialnet says about itself; None for other files.
    """

    path: Path
    weights: dict[str, Tensor]
    card: dict[str, Any] | None = None


def read_source(path: Path) -> Source:
    """Read a checkpoint of facialnet, or a state dict in a .pth, .pt or .safetensors file.

    Raises UserError, naming the setting and the file, where it is missing, damaged or another one.
    """
    if path.suffix in _WEIGHT_FILES and not has_card(path):
        return Source(path, read_weights(str(path), setting="init_from"))
    try:
        checkpoint = read_checkpoint(path)
    except UserError as error:
        raise UserError(
            f"init_from: {error}; files of weights alone end in {', '.join(_WEIGHT_FILES)}"
        ) from error
    return Source(path, checkpoint.weights, checkpoint.card)


def start_from(
    source: Source,
    network: MultiTaskNetwork,
    card: Mapping[str, Any],
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """Load the weights that fit into a network, in place, and say which did not.

    Args:
        source: what was read.
        network: keeps its own weights where the source has none.
        card: of this run; see ``facialnet.training.checkpoint``.
        announce: takes the lines.

    Returns:
        What goes into the card and the results, as plain data: the ``file``, the ``data`` that its
        weights were learnt from (name and licence, earliest first; empty where it does not say),
        ``parts`` (see Match), how many tensors were ``missing``, of other ``shapes`` and
        ``unused``, and the ``stamp`` for figures of images that they may have been learnt from.

    Raises:
        UserError: nothing fits.
    """
    state = network.state_dict()
    found = match(source.weights, state)
    if not found.loaded:
        raise UserError(
            f"init_from={source.path}: nothing in it fits this network, by name and shape; its "
            f"names are like {next(iter(source.weights), 'none')}, the network's like "
            f"{next(iter(state))}"
        )
    network.load_state_dict(found.loaded, strict=False)
    data = _learnt_from(source)
    names = f", learnt from {' and '.join(each['name'] for each in data)}" if data else ""
    announce(f"weights of {source.path}{names}:")
    warnings: list[str] = []
    stamp = None
    if source.card is not None:
        stamp = _stamp(source.card, card)
        warnings = _differences(source.card, card, found.loaded) + ([stamp] if stamp else [])
    for line in [*found.lines(), *(f"  WARNING: {each}" for each in warnings)]:
        announce(line)
    return {
        "file": str(source.path.absolute()),
        "data": data,
        "parts": found.parts(),
        "missing": len(found.missing),
        "shapes": len(found.shapes),
        "unused": len(found.unused),
        "stamp": stamp,
    }


def _learnt_from(source: Source) -> list[dict[str, str]]:
    if source.card is None:
        return []
    before = (source.card.get("init") or {"data": []})["data"]
    return [each for each in before if each != source.card["data"]] + [source.card["data"]]


def _differences(
    there: Mapping[str, Any], here: Mapping[str, Any], loaded: Collection[str]
) -> list[str]:
    """Return in what the weights were made for other pictures, or heads for other classes."""
    tasks = {part_of(name).removeprefix("heads.") for name in loaded} & set(there["tasks"])
    old, new = (
        {
            "pictures": f"{card['preprocess']['size']} pixels wide",
            "channels": card["preprocess"]["channels"],
            "pixel mean": card["model"]["mean"],
            "pixel std": card["model"]["std"],
            **{f"classes of {task}": card["tasks"][task]["classes"] for task in sorted(tasks)},
        }
        for card in (there, here)
    )
    return [
        f"{what}: {old[what]} there, {new[what]} here" for what in new if old[what] != new[what]
    ]


def _stamp(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Return what to say of every figure where tested images may have been learnt from before.

    On the same rows, the same protocol makes the same split, whatever the pictures' size.
    """
    name = here["data"]["name"]
    before = there.get("init") or {"data": [], "stamp": None}
    if there["data"]["name"] == name:
        rows = [str(card["store"]).partition("-")[0] for card in (there, here)]
        alike = rows[0] == rows[1] and there["protocol"] == here["protocol"]
        seen = not alike or before["stamp"] is not None
    else:
        seen = any(each["name"] == name for each in before["data"])
    if not seen:
        return None
    return f"starting weights learnt from {name} under another split: tested images may be known"
