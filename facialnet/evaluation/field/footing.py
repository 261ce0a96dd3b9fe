"""Runs that stand on one footing: the same data set, label policy and protocol."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from facialnet.evaluation.report.naming import identity, protocol_name, value_text
from facialnet.evaluation.runs import Run

_FOOTING = re.compile(r"(data\.(label_policy|exclude|source\..*|parts\..*)|protocol\..*)$")
# Settings of a part that it inherits from a data set by itself and that have no say there.
_ASIDE = re.compile(r"data\.parts\.[^.]+\.(batch_size|max_missing|exclude|source_weights)$")

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Footing:
    """Runs that answer the same question, and what it is called."""

    title: str
    runs: tuple[Run, ...]

    @property
    def done(self) -> list[Run]:
        """Return the runs whose figures may be used."""
        return [run for run in self.runs if run.done]


def footing_of(run: Run) -> Key:
    """Return the settings that decide which images are tested and by which labels."""
    return tuple(
        (key, value)
        for key, value in sorted(identity(run).items())
        if _FOOTING.match(key) and not _ASIDE.match(key)
    )


def footings(runs: Sequence[Run]) -> list[Footing]:
    """Sort runs by their footing, in the order in which each first appears."""
    groups: dict[Key, list[Run]] = {}
    for run in runs:
        groups.setdefault(footing_of(run), []).append(run)
    names = [_name(group) for group in groups.values()]
    keys = [dict(key) for key in groups]
    found = []
    for name, key, group in zip(names, keys, groups.values(), strict=True):
        alike = [other for other, its in zip(keys, names, strict=True) if its == name]
        found.append(Footing(", ".join([name, *_apart(key, alike)]), tuple(group)))
    return found


def _name(runs: Sequence[Run]) -> str:
    """Name data set and protocol, the protocol with its seed where all runs share it."""
    told = [run for run in runs if run.done] or runs
    protocols = {run.protocol for run in told}
    protocol = protocols.pop() if len(protocols) == 1 else protocol_name(told[0])
    return f"{told[0].data}, {protocol}"


def _apart(key: dict[str, str], alike: Sequence[dict[str, str]]) -> list[str]:
    """Return in which settings a footing differs from others of the same name."""
    names = dict.fromkeys(name for each in alike for name in each)
    return [
        f"{name.rpartition('.')[2]}={PurePath(value_text(name, key.get(name))).name}"
        for name in names
        if len({each.get(name) for each in alike}) > 1
    ]
