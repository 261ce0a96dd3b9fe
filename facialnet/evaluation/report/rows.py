"""A report's figures as CSV: one line for each run, task and score."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from facialnet.evaluation.report.content import Report
from facialnet.evaluation.report.measured import Measured, Score, spread_of
from facialnet.evaluation.report.setups import Setup
from facialnet.evaluation.runs import Run

_COLUMNS = (
    "setup",
    "run",
    "fold",
    "seed",
    "status",
    "task",
    "score",
    "weighting",
    "value",
    "low",
    "high",
    "sd",
    "count",
    "images",
    "people",
    "clustered_on",
    "data",
    "protocol",
    "stamp",
    "claim",
    "claim_source",
    "claim_protocol",
    "folder",
)
_WEIGHTINGS = {"scores": "image", "per_person": "person"}


def results_csv(report: Report) -> str:
    """Return the lines of every run, then of each setup's mean and pooled answers.

    ``run`` is a run's name, ``mean`` or ``pooled``; a job without figures and a missing fold have
    one line with their ``status``. Shares are from 0 to 1, ``low`` and ``high`` the ends of the
    95 % interval, ``claim`` the paper's figure for the same score.
    """
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, _COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    done = {id(found.setup): found for found in report.found}
    for setup in report.setups:
        for run in setup.runs:
            table.writerows(_run_lines(setup, run))
        for fold in setup.missing:
            table.writerow({"setup": setup.label, "fold": fold, "status": "missing"})
        if len(setup.done) > 1:
            table.writerows(_mean_lines(setup))
            table.writerows(_pooled_lines(done[id(setup)]))
    return file.getvalue()


def _run_lines(setup: Setup, run: Run) -> Iterator[dict[str, Any]]:
    about = {
        "setup": setup.label,
        "run": setup.title_of(run),
        "fold": run.fold,
        "seed": run.seed,
        "status": run.status,
        "folder": str(run.folder),
    }
    if not run.done:
        yield about
        return
    about |= {"data": run.data, "protocol": run.protocol, "stamp": run.stamp or ""}
    for line in _scores(run.metrics["tasks"]):
        yield about | line | _claim(run, line)


def _scores(tasks: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, entry in tasks.items():
        for key, weighting in _WEIGHTINGS.items():
            for score, record in (entry.get(key) or {}).items():
                found = Score.of(record)
                yield {
                    "task": name,
                    "score": score,
                    "weighting": weighting,
                    "value": _rounded(found.value),
                    "low": _rounded(found.low),
                    "high": _rounded(found.high),
                    **{unit: entry[unit] for unit in ("images", "people", "clustered_on")},
                }


def _mean_lines(setup: Setup) -> Iterator[dict[str, Any]]:
    for line in _scores(setup.done[0].metrics["tasks"]):
        key = next(key for key, name in _WEIGHTINGS.items() if name == line["weighting"])
        if spread := spread_of(setup, line["task"], line["score"], key):
            yield {
                **_common(setup),
                "run": "mean",
                **{part: line[part] for part in ("task", "score", "weighting")},
                "value": _rounded(spread.mean),
                "sd": _rounded(spread.sd),
                "count": spread.count,
                **_claim(setup.done[0], line),
            }


def _pooled_lines(found: Measured) -> Iterator[dict[str, Any]]:
    if found.pooled:
        for line in _scores(found.metrics["tasks"]):
            claim = _claim(found.setup.done[0], line)
            yield {**_common(found.setup), "run": "pooled", **line, **claim}


def _common(setup: Setup) -> dict[str, Any]:
    return {
        "setup": setup.label,
        "status": "done",
        "data": setup.done[0].data,
        "protocol": setup.protocol,
        "stamp": setup.stamp or "",
    }


def _claim(run: Run, line: Mapping[str, Any]) -> dict[str, Any]:
    """Return the paper's figure for a line's score, if it has one."""
    claim = run.results.get("claim") or {}
    key = {"accuracy": line["task"], "one_off": "one_off"}.get(line["score"])
    value = claim.get(key) if key and line["weighting"] == "image" else None
    if value is None:
        return {}
    return {
        "claim": value,
        "claim_source": claim.get("source"),
        "claim_protocol": claim.get("protocol"),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
