"""The tables that a report begins with: results beside the claim, the runs, the protocols' gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from facialnet.evaluation.report.measured import Measured, Score, Spread, spread_of
from facialnet.evaluation.report.setups import Setup, images_asked


@dataclass(frozen=True)
class ResultRow:
    """One setup's result in one task, beside what the paper claims."""

    of: Setup
    setup: str
    task: str
    images: int
    images_asked: int | None
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
    images_asked: int | None
    scores: dict[str, Score]
    stamp: str | None


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
                    of=setup,
                    setup=setup.label,
                    task=name,
                    images=entry["images"],
                    images_asked=images_asked(setup.done),
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
                images_asked=images_asked([run]) if run.done else None,
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
        (fold, RunRow(f"fold {fold}", "", "missing", None, None, {}, None))
        for fold in setup.missing
    ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def spreads(setup: Setup) -> dict[str, Spread | None]:
    """Return mean and deviation of each score that the table of runs shows."""
    return {f"{task}/{name}": spread_of(setup, task, name) for task, name in score_columns(setup)}
