"""Setups against each other: on the same images, and by what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facialnet.errors import UserError
from facialnet.evaluation.comparison import compare_all
from facialnet.evaluation.pareto import COSTS, cost_table
from facialnet.evaluation.report.charts import CostPoint, cost_chart
from facialnet.evaluation.report.measured import Measured
from facialnet.evaluation.report.naming import protocol_name, told_apart
from facialnet.labels import Task

COST_NAMES = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds",
    "latency_ms": "latency on one CPU thread, ms",
}
_MOST = 8  # setups that are compared in pairs: 28 pairs are as many as a table can hold


@dataclass(frozen=True)
class Pairs:
    """Paired comparisons: records as of ``compare_all``, and what to know about them."""

    records: list[dict[str, Any]]
    notes: list[str]


@dataclass(frozen=True)
class Costs:
    """Accuracy against cost: the table with its Pareto marks, and a chart for each task."""

    table: pd.DataFrame
    charts: list[str]


def paired(setups: Sequence[Measured], *, required: bool = False) -> Pairs | None:
    """Compare setups, or the runs of a single one, wherever they tested the same images.

    None where there is nothing to compare. ``required`` makes a pair that cannot be compared a
    UserError.
    """
    chosen = _compared(setups)
    tables, notes = _tables(chosen)
    if len(tables) < 2:
        if required:
            raise UserError(
                "--paired: nothing to compare: name at least two runs that tested the same images"
            )
        return None
    if len(chosen) < len(setups):
        notes.append(
            f"only the {_MOST} of {len(setups)} with the greatest validation accuracy are compared"
        )
    records = compare_all(tables, _tasks(chosen))
    if not records and required:
        raise UserError("--paired: nothing to compare: no task was asked in two of the setups")
    apart = [record for record in records if not record["comparable"]]
    if required and apart:
        first = apart[0]
        raise UserError(f"--paired: {first['first']} and {first['second']}: {first['reason']}")
    if len(apart) == len(records):
        return None  # as folds or protocols, each of which tests its own images
    return Pairs(records, notes)


def _compared(setups: Sequence[Measured]) -> list[Measured]:
    """Return the setups that are compared, of many the best on the validation images, in order."""
    if len(setups) <= _MOST:
        return list(setups)
    best = sorted(range(len(setups)), key=lambda n: -(setups[n].setup.validation or 0.0))
    return [setups[number] for number in sorted(best[:_MOST])]


def _tables(setups: Sequence[Measured]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Return what is compared, by name: setups, each with every image once, or a setup's runs."""
    notes: list[str] = []
    if len(setups) == 1:
        setup = setups[0].setup
        titles = [setup.title_of(run) for run in setup.done]
        names = told_apart(titles, [run.folder.name for run in setup.done])
        return dict(zip(names, (run.predictions for run in setup.done), strict=True)), notes
    tables = {}
    for found in setups:
        tables[found.setup.label], note = one_answer_each(found)
        notes += [f"{found.setup.label}: {note}"] if note else []
    return tables, notes


def one_answer_each(found: Measured) -> tuple[pd.DataFrame, str]:
    """Return a setup's answers with every image once, and which of its runs they are of.

    The note is empty where they are of all of them.
    """
    seeds = [run.seed for run in found.setup.done]
    if found.pooled and len(set(seeds)) > 1:
        kept = [number for number, seed in enumerate(seeds) if seed == seeds[0]]
        table = found.table[found.table["run"].isin(kept)]
        return table, f"seed {seeds[0]} alone, one answer for each image"
    if not found.pooled and len(seeds) > 1:
        return found.table, f"{found.setup.title_of(found.setup.done[0])} alone"
    return found.table, ""


def _tasks(setups: Sequence[Measured]) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for found in setups:
        for name, task in found.setup.tasks.items():
            tasks.setdefault(name, task)
    return tasks


def costs(setups: Sequence[Measured]) -> Costs | None:
    """Set accuracy against cost; None unless setups of different cost answer the same question.

    Only setups on the first one's data, classes and protocol take part: a leaky split would put
    any network on the front.
    """
    known = [
        found
        for found in setups
        if found.setup.done[0].results.get("cost")
        and not found.setup.apart
        and protocol_name(found.setup.runs[0]) == protocol_name(setups[0].setup.runs[0])
    ]
    table = cost_table(
        [
            {
                "name": found.setup.label,
                "accuracy": {
                    name: found.score(name, "accuracy").value for name in found.metrics["tasks"]
                },
                "cost": found.setup.done[0].results["cost"],
            }
            for found in known
        ]
    )
    if not any(table[cost].nunique() > 1 for cost in ("parameters", "multiply_adds")):
        return None
    stamps = {found.setup.label: found.setup.stamp or "" for found in known}
    table["stamp"] = table["name"].map(stamps)
    return Costs(table, _cost_charts(table))


def _cost_charts(table: pd.DataFrame) -> list[str]:
    """Draw each task's accuracy against the first cost that tells the setups apart."""
    charts = []
    for task, rows in table.groupby("task", sort=False):
        if len(rows) < 2:
            continue
        varied = [cost for cost in COSTS if rows[cost].nunique() > 1]
        cost = "multiply_adds" if "multiply_adds" in varied else (varied or ["latency_ms"])[0]
        shown = rows[np.isfinite(rows[cost]) & np.isfinite(rows["accuracy"])]
        points = [
            CostPoint(str(row["name"]), row[cost], row["accuracy"], bool(row[f"{cost}_front"]))
            for _, row in shown.iterrows()
        ]
        if len(points) > 1:
            charts.append(
                cost_chart(points, title=f"{task}: accuracy against cost", unit=COST_NAMES[cost])
            )
    return charts
