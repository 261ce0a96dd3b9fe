"""What the split does to the figures: protocols against the least leaky one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from facialnet.evaluation.report.measured import Measured, Score
from facialnet.evaluation.report.naming import identity, protocol_name, split_settings
from facialnet.evaluation.report.setups import Setup
from facialnet.evaluation.report.text import difference


@dataclass(frozen=True)
class GapRow:
    """One protocol, and how far its accuracies lie above those of the least leaky one.

    ``name`` is the protocol, with its fold where one fold stands for it. ``points`` are differences
    of shares.
    """

    label: str
    name: str
    stamp: str | None
    seen: float | None
    accuracy: dict[str, Score]
    points: dict[str, Score]
    reference: bool


def gap_rows(setups: Sequence[Measured]) -> list[GapRow]:
    """Compare protocols with the least leaky one; empty unless there are several.

    Only setups that differ from the first in nothing but the protocol take part. The difference
    is unpaired: each protocol tests its own images.
    """
    comparable = _comparable(setups)
    if len({split_settings(found.setup.runs[0]) for found in comparable}) < 2:
        return []
    reference = min(comparable, key=_leakiness)
    names = [found.setup.protocol for found in comparable]
    rows = []
    for found in sorted(comparable, key=_leakiness):
        setup = found.setup
        both = [name for name in reference.setup.tasks if name in setup.tasks]
        accuracy = {name: found.score(name, "accuracy") for name in both}
        rows.append(
            GapRow(
                label=setup.label,
                name=setup.protocol if names.count(setup.protocol) == 1 else setup.label,
                stamp=setup.stamp,
                seen=_seen(setup),
                accuracy=accuracy,
                points={
                    name: unpaired(accuracy[name], reference.score(name, "accuracy"))
                    for name in both
                },
                reference=found is reference,
            )
        )
    return rows


def clean_lines(setups: Sequence[Measured]) -> list[str]:
    """Set random images against random people: both draw from one pool of people and ages.

    An official fold has people and ages of its own, so that the difference to it is not the
    leak's alone.
    """
    by_protocol: dict[str, list[Measured]] = {}
    for found in _comparable(setups):
        by_protocol.setdefault(protocol_name(found.setup.runs[0]), []).append(found)
    images, people = (by_protocol.get(name, []) for name in ("random image", "random subject"))
    if len(images) != 1 or len(people) != 1:
        return []
    both = [name for name in images[0].setup.tasks if name in people[0].setup.tasks]
    gaps = {
        name: unpaired(images[0].score(name, "accuracy"), people[0].score(name, "accuracy"))
        for name in both
    }
    return [
        f"random images against random people, the same pool of people and ages: {name} "
        f"{difference(gap, unit=' points')}"
        for name, gap in gaps.items()
        if gap.value is not None
    ]


def _comparable(setups: Sequence[Measured]) -> list[Measured]:
    return [
        found
        for found in setups
        if not found.setup.apart and _beside_protocol(found) == _beside_protocol(setups[0])
    ]


def _beside_protocol(found: Measured) -> dict[str, str]:
    asked = identity(found.setup.runs[0])
    return {key: value for key, value in asked.items() if not key.startswith("protocol.")}


def unpaired(score: Score, other: Score) -> Score:
    """Return the difference of two independent figures with its 95 % interval.

    The distances of the ends from the values are combined as by Newcombe (1998, method 10).
    """
    if score.value is None or other.value is None:
        return Score(None)
    value = score.value - other.value
    if score.low is None or score.high is None or other.low is None or other.high is None:
        return Score(value)
    return Score(
        value,
        value - math.hypot(score.value - score.low, other.high - other.value),
        value + math.hypot(score.high - score.value, other.value - other.low),
    )


def _leakiness(found: Measured) -> tuple[bool, bool, float]:
    """Order setups: without a stamp first, then those that know what they share, then by share."""
    seen = _seen(found.setup)
    return (found.setup.stamp is not None, seen is None, seen or 0.0)


def _seen(setup: Setup) -> float | None:
    """Return the share of test images that share something with training; None if not known."""
    shares = []
    for run in setup.done:
        leaks = run.results.get("leaks") or {}
        count = leaks.get("shared", {}).get("test/seen", {}).get("any")
        size = leaks.get("sizes", {}).get("test")
        if count is not None and size:
            shares.append(count / size)
    return sum(shares) / len(shares) if shares else None
