"""The tables that a report begins with: results beside the claim, the runs, the protocols' gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facialnet.evaluation.report.measured import Measured, Score, Spread, spread_of
from facialnet.evaluation.report.naming import identity, protocol_name
from facialnet.evaluation.report.setups import Setup


@dataclass(frozen=True)
class ResultRow:
    """One setup's result in one task, beside what the paper claims."""

    setup: str
    task: str
    images: int
    people: int
    clustered_on: str
    accuracy: Score
    per_person: Score
    one_off: Score
    majority: float | None
    claim: float | None
    claim_one_off: float | None
    claim_source: str
    claim_protocol: str
    protocol: str
    stamp: str | None
    how: str
    apart: tuple[str, ...]


@dataclass(frozen=True)
class RunRow:
    """One job of a setup; ``status`` is not ``done`` where its figures are not there."""

    title: str
    folder: str
    status: str
    images: int | None
    scores: dict[str, Score]
    stamp: str | None


@dataclass(frozen=True)
class GapRow:
    """One protocol, and how far its accuracies lie above those of the least leaky one."""

    label: str
    protocol: str
    stamp: str | None
    seen: float | None
    accuracy: dict[str, Score]
    points: dict[str, float | None]
    reference: bool


def result_rows(setups: Sequence[Measured]) -> list[ResultRow]:
    """Return a row for each setup and task that has labels."""
    rows = []
    for found in setups:
        setup = found.setup
        claim: dict[str, Any] = setup.done[0].results.get("claim") or {}
        for name, task in setup.tasks.items():
            entry = found.metrics["tasks"].get(name)
            if entry is None or not entry["images"]:
                continue
            majorities = [run.majority(name) for run in setup.done]
            known = [value for value in majorities if value is not None]
            rows.append(
                ResultRow(
                    setup=setup.label,
                    task=name,
                    images=entry["images"],
                    people=entry["people"],
                    clustered_on=entry["clustered_on"],
                    accuracy=found.score(name, "accuracy"),
                    per_person=found.score(name, "accuracy", "per_person"),
                    one_off=found.score(name, "one_off") if task.ordinal else Score(None),
                    majority=sum(known) / len(known) if known else None,
                    claim=claim.get(name),
                    claim_one_off=claim.get("one_off") if task.ordinal else None,
                    claim_source=str(claim.get("source", "")),
                    claim_protocol=str(claim.get("protocol", "")),
                    protocol=setup.protocol,
                    stamp=setup.stamp,
                    how=found.how,
                    apart=setup.apart,
                )
            )
    return rows


def score_columns(setup: Setup) -> list[tuple[str, str]]:
    """Return the scores that a table of runs shows, as (task, score)."""
    return [
        (name, score)
        for name, task in setup.tasks.items()
        for score in ("accuracy", "one_off")
        if score == "accuracy" or task.ordinal
    ]


def run_rows(setup: Setup) -> list[RunRow]:
    """Return a row for each job, and one for each fold that has none, in order."""
    rows = [
        (
            -1 if run.fold is None else run.fold,
            RunRow(
                title=setup.title_of(run),
                folder=run.folder.name,
                status=run.status,
                images=run.metrics.get("images"),
                scores={
                    f"{task}/{score}": Score.of(
                        run.metrics.get("tasks", {}).get(task, {}).get("scores", {}).get(score)
                    )
                    for task, score in score_columns(setup)
                },
                stamp=run.stamp if run.done else None,
            ),
        )
        for run in setup.runs
    ]
    rows += [
        (fold, RunRow(f"fold {fold}", "", "missing", None, {}, None)) for fold in setup.missing
    ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def spreads(setup: Setup) -> dict[str, Spread | None]:
    """Return mean and deviation of each score that the table of runs shows."""
    return {f"{task}/{name}": spread_of(setup, task, name) for task, name in score_columns(setup)}


def gap_rows(setups: Sequence[Measured]) -> list[GapRow]:
    """Compare protocols with the least leaky one; empty unless there are several.

    Only setups that differ from the first in nothing but the protocol take part. The difference
    is unpaired: each protocol tests its own images.
    """
    comparable = [
        found
        for found in setups
        if not found.setup.apart and _beside_protocol(found) == _beside_protocol(setups[0])
    ]
    if len({protocol_name(found.setup.runs[0]) for found in comparable}) < 2:
        return []
    reference = min(comparable, key=_leakiness)
    rows = []
    for found in sorted(comparable, key=_leakiness):
        both = [name for name in reference.setup.tasks if name in found.setup.tasks]
        accuracy = {name: found.score(name, "accuracy") for name in both}
        rows.append(
            GapRow(
                label=found.setup.label,
                protocol=found.setup.protocol,
                stamp=found.setup.stamp,
                seen=_seen(found.setup),
                accuracy=accuracy,
                points={
                    name: _points(accuracy[name], reference.score(name, "accuracy"))
                    for name in both
                },
                reference=found is reference,
            )
        )
    return rows


def _beside_protocol(found: Measured) -> dict[str, str]:
    asked = identity(found.setup.runs[0])
    return {key: value for key, value in asked.items() if not key.startswith("protocol.")}


def _points(score: Score, reference: Score) -> float | None:
    if score.value is None or reference.value is None:
        return None
    return 100 * (score.value - reference.value)


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
