"""Weights that somebody else trained: fetched, or read from a local file, and put in by name."""

import difflib
import pickle
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from facialnet.errors import UserError, gist

_PATIENCE = 10.0  # seconds that a silent server is waited for
_NAMED = 3  # keys that an error names


@contextmanager
def fetching(network: str) -> Iterator[None]:
    """Let a library download weights; raise one UserError with the ways on where it cannot."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_PATIENCE)
    try:
        yield
    except Exception as error:  # the libraries' network errors have nothing else in common
        raise UserError(
            f"model.backbone: the pre-trained weights of {network} are not on this machine and "
            f"cannot be downloaded ({shorten(gist(error), 100)}): set model.backbone.weights=FILE "
            "to a local copy, or model.backbone.pretrained=false to start without"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def read_weights(path: str, *, setting: str = "model.backbone.weights") -> dict[str, Tensor]:
    """Read a state dict from a .safetensors, .pth or .pt file; nothing in it is executed.

    A state dict may lie under the key ``state_dict`` or ``model``, as in training checkpoints.
    Raises UserError, which names ``setting``, where the file is missing, damaged or holds no state
    dict.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(f"{setting}={path}: there is no such file")
    try:
        content: Any = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (
        *(RuntimeError, EOFError, OSError, ValueError, KeyError),
        *(pickle.UnpicklingError, SafetensorError),
    ) as error:
        raise UserError(
            f"{setting}={path} cannot be read: it is damaged, or holds more than "
            f"tensors ({shorten(gist(error), 80)})"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, Tensor) for value in content.values())
    ):
        raise UserError(f"{setting}={path} holds no state dict, only tensors by name")
    return dict(content)


def load_weights(
    network: nn.Module, weights: Mapping[str, Tensor], *, ignored: Sequence[str], source: str
) -> None:
    """Put weights into a network, in place.

    Args:
        network: what gets them.
        weights: name to tensor, as in a state dict.
        ignored: beginnings of names that are neither used nor asked for, such as a classifier's.
        source: what an error calls the weights.

    Raises:
        UserError: a name is missing, unknown or has another shape; the first ones are named.
    """
    skipped = tuple(ignored)
    used = {name: value for name, value in weights.items() if not name.startswith(skipped)}
    own = {name: v for name, v in network.state_dict().items() if not name.startswith(skipped)}
    # how many batches a norm has seen is younger than many weight files, and of no consequence
    missing = [n for n in own if n not in used and not n.endswith("num_batches_tracked")]
    unknown = [name for name in used if name not in own]
    shapes = [
        f"{name} is {list(used[name].shape)} there and {list(value.shape)} here"
        for name, value in own.items()
        if name in used and used[name].shape != value.shape
    ]
    faults = [
        f"{len(names)} {fault}: {', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''}"
        for fault, names in (("missing", missing), ("unknown", unknown), ("misshapen", shapes))
        if names
    ]
    if faults:
        raise UserError(f"{source} do not fit the network: {'; '.join(faults)}")
    network.load_state_dict(used, strict=False)


def check_name(name: str, known: Iterable[str], *, key: str, library: str) -> None:
    """Raise UserError, with the nearest names, unless a library has a network of this name."""
    names = list(known)
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=_NAMED, cutoff=0.5)
    hint = f"; the nearest are {', '.join(near)}" if near else ""
    raise UserError(f"{key}={name}: {library} has no network of this name{hint}")


def output_shape(network: nn.Module, size: int, *, name: str) -> torch.Size:
    """Return the shape that a new network makes of one colour picture, computing nothing.

    Raises UserError where it cannot take pictures of this size.
    """
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {key: value.detach().to("meta") for key, value in tensors.items()}
    picture = torch.empty(1, 3, size, size, device="meta")
    network.eval()  # a norm cannot train on a single value
    try:
        made: Tensor = torch.func.functional_call(network, shapes, (picture,))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise UserError(
            f"model.backbone.size={size}: {name} cannot take pictures of {size} pixels "
            f"({shorten(gist(error), 100)}); change preprocess.size"
        ) from error
    finally:
        network.train()
    return made.shape


def colour(images: Tensor) -> Tensor:
    """Return images, float [N, 1 or 3, H, W], with three channels: grey ones have it thrice."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def unreachable(url: str) -> bool:
    """Return whether an address does not answer; False where a proxy stands between."""
    if getproxies():
        return False
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port or 443), _PATIENCE).close()
    except OSError:
        return True
    return False
