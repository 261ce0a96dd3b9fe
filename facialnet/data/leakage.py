"""What the parts of a split share, and what is done about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facialnet.data.protocol import Split
from facialnet.errors import UserError

ON_LEAK = ("refuse", "warn", "stamp")


class _Kind(NamedTuple):
    """One way in which two images belong together.

    ``show`` follows a number of images, as "5 % of the test images show a person seen in training".
    """

    column: str
    per_source: bool  # names mean something within their data set only
    noun: str
    plural: str
    show: tuple[str, str]  # of one image, of several


_KINDS = {
    "person": _Kind("subject", True, "person", "people", ("shows a person", "show a person")),
    "album": _Kind("album", True, "album", "albums", ("comes from an album", "come from an album")),
    "photo": _Kind("photo", True, "photo", "photos", ("comes from a photo", "come from a photo")),
    "bytes": _Kind("content", False, "file", "files", ("repeats a file", "repeat a file")),
    "lookalike": _Kind(
        "lookalike",
        False,
        "look-alike",
        "look-alikes",
        ("looks like an image", "look like an image"),
    ),
}
# "seen" is training and validation together: all that the network was made with.
_PAIRS = (("test", "train"), ("test", "val"), ("test", "seen"), ("val", "train"))
_PARTS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Leaks:
    """How many images of one part of a split belong together with images of another.

    Attributes:
        sizes: images of train, val and test.
        shared: by pair, ``test/train``, ``test/val``, ``test/seen`` (training or validation) and
            ``val/train``: how many images of the first have their person, album, photo, bytes or a
            look-alike also in the second, and ``any`` of these. None where the data set does not
            know.
    """

    sizes: dict[str, int]
    shared: dict[str, dict[str, int | None]]

    @property
    def leaky(self) -> bool:
        """Whether any test image shares something with training or validation."""
        return bool(self.shared["test/seen"]["any"])

    @property
    def validation_leaky(self) -> bool:
        """Whether the epoch is chosen on images that share something with training."""
        return bool(self.shared["val/train"]["any"])

    @property
    def stamp(self) -> str | None:
        """The line that every figure of a leaky split carries, or None where nothing is shared."""
        if self.leaky:
            parts = [part for part in ("train", "val") if self.shared[f"test/{part}"]["any"]]
            where = " or ".join(_PARTS[part] for part in parts)
            return f"LEAKY: {self._sentence('test', 'seen', where)}"
        if self.validation_leaky:
            seen = "people" if self.shared["val/train"]["person"] else "images"
            return f"epoch chosen on seen {seen}: {self._sentence('val', 'train', 'training')}"
        return None

    def lines(self) -> list[str]:
        """Say what was compared and what is shared, in numbers, also where it is nothing."""
        known = [kind for kind in _KINDS if self.shared["test/train"][kind] is not None]
        sizes = ", ".join(f"{_PARTS[part]} {size:,}" for part, size in self.sizes.items())
        lines = [f"images: {sizes}"]
        if not known:
            return [*lines, "training, validation and test: nothing is known to compare them by"]
        hits = [
            f"{_PARTS[first]} and {_PARTS[second]}: {self._line(first, second)}"
            for first, second in (("test", "train"), ("test", "val"), ("val", "train"))
            if self._counts(first, second)
        ]
        nothing = f"training, validation and test share no {_listed(known, 'noun', 'or')}"
        lines += hits or ([nothing] if self.sizes["train"] else [])
        if "person" not in known:
            lines.append("people are not known in this data set: they may be shared")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        shared = {pair: dict(counts) for pair, counts in self.shared.items()}
        return {"sizes": dict(self.sizes), "shared": shared}

    def _counts(self, first: str, second: str) -> dict[str, int]:
        """Return the kinds that are shared at all, and how often."""
        counts = self.shared[f"{first}/{second}"]
        return {kind: count for kind in _KINDS if (count := counts[kind])}

    def _line(self, first: str, second: str) -> str:
        counts = self._counts(first, second)
        found = ", ".join(f"{_KINDS[kind].plural} {count:,}" for kind, count in counts.items())
        share = _share(self.shared[f"{first}/{second}"]["any"] or 0, self.sizes[first])
        return f"{share} {_PARTS[first]} images seen in {_PARTS[second]} ({found})"

    def _sentence(self, first: str, second: str, where: str) -> str:
        counts = self._counts(first, second).items()
        # People first, for they are what a score must not know; then what touches most images.
        (kind, count), *others = sorted(counts, key=lambda item: (item[0] != "person", -item[1]))
        size = self.sizes[first]
        rest = ", ".join(f"{_KINDS[name].plural} {_short(n, size)}" for name, n in others)
        show = _KINDS[kind].show[count > 1 or not _is_rare(count, size)]
        sentence = f"{_share(count, size)} {_PARTS[first]} images {show} seen in {where}"
        return f"{sentence} ({rest})" if rest else sentence


def find_leaks(manifest: pd.DataFrame, split: Split) -> Leaks:
    """Count what test, validation and training images share.

    Args:
        manifest: one row an image; ``content`` and ``lookalike`` may be absent.
        split: positions of its rows.
    """
    sizes = {"train": len(split.train), "val": len(split.val), "test": len(split.test)}
    parts = {"train": split.train, "val": split.val, "test": split.test}
    parts["seen"] = np.concatenate([split.train, split.val])
    codes = {name: _codes(manifest, kind) for name, kind in _KINDS.items()}
    shared: dict[str, dict[str, int | None]] = {}
    for first, second in _PAIRS:
        seen = np.zeros(len(parts[first]), np.bool_)
        counts: dict[str, int | None] = {}
        for name, code in codes.items():
            if code is None:
                counts[name] = None
                continue
            there = code[parts[second]]
            hit = np.isin(code[parts[first]], there[there >= 0])
            counts[name] = int(hit.sum())
            seen |= hit
        known = any(code is not None for code in codes.values())
        shared[f"{first}/{second}"] = counts | {"any": int(seen.sum()) if known else None}
    return Leaks(sizes, shared)


def guard(leaks: Leaks, on_leak: str, announce: Callable[[str], None]) -> None:
    """Announce what is shared, and refuse or warn where something is.

    Args:
        leaks: what was found.
        on_leak: ``refuse`` raises UserError, ``warn`` adds a warning, ``stamp`` the stamp.
        announce: called with one line after another.
    """
    if on_leak not in ON_LEAK:
        raise UserError(f"protocol.on_leak={on_leak}: allowed values are {', '.join(ON_LEAK)}")
    for line in leaks.lines():
        announce(line)
    if leaks.stamp is None:
        return
    if on_leak == "refuse":
        raise UserError(
            f"protocol: {leaks.stamp}; choose another protocol or fold, or go on with "
            "protocol.on_leak=warn, or with protocol.on_leak=stamp"
        )
    announce(f"WARNING: {leaks.stamp}" if on_leak == "warn" else leaks.stamp)


def _codes(manifest: pd.DataFrame, kind: _Kind) -> NDArray[np.int64] | None:
    """Number what the rows belong to: int64 [N], -1 where it is missing; None where nobody knows.

    A column of look-alikes that is there and empty says that there are none.
    """
    if kind.column not in manifest.columns:
        return None
    if kind.column != "lookalike" and manifest[kind.column].isna().all():
        return None
    codes = np.asarray(pd.factorize(manifest[kind.column])[0], np.int64)
    if not kind.per_source:
        return codes
    sources = np.asarray(pd.factorize(manifest["source"])[0], np.int64) + 1
    return np.where(codes < 0, -1, codes * (sources.max() + 1) + sources)


def _listed(kinds: list[str], form: str, last: str) -> str:
    words = [str(getattr(_KINDS[kind], form)) for kind in kinds]
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _share(count: int, size: int) -> str:
    """Say a share, or the count itself where it would read 0.0 %."""
    return f"{count:,} of {size:,}" if _is_rare(count, size) else f"{_short(count, size)} of the"


def _short(count: int, size: int) -> str:
    return f"{count:,}" if _is_rare(count, size) else f"{100 * count / size:.1f} %"


def _is_rare(count: int, size: int) -> bool:
    return 1000 * count < size
