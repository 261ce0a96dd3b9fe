"""Everything that a run's answers say, as the plain content of metrics.json."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from facialnet.errors import UserError
from facialnet.evaluation.answers import Answers, answers_of
from facialnet.evaluation.calibration import (
    prediction_sets,
    reliability,
    risk_coverage,
    tempered,
)
from facialnet.evaluation.intervals import intervals, mean_interval
from facialnet.evaluation.scores import class_scores, confusion, scores
from facialnet.evaluation.subgroups import subgroups
from facialnet.labels import Task

POINTS = 20  # of the accuracy-coverage curve that are kept


def measure(
    table: pd.DataFrame,
    tasks: Mapping[str, Task],
    calibration: Mapping[str, Any],
    *,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Return all scores of a table of predictions, ready for JSON; NaN becomes None.

    ``images``; ``tasks``: for each task the numbers of images and people, ``clustered_on``,
    ``scores`` (each image counts the same) and ``per_person`` with value, low and high,
    ``classes``, ``confusion`` (rows true) and ``calibration``; ``subgroups``. A task without a
    labelled image has None for every score.

    Args:
        table: a row for each tested image, with calibrated probabilities.
        tasks: task name to task.
        calibration: task name to what ``fit_calibration`` gave. Where a task is missing, its
            probabilities are taken to be uncalibrated, and there are no conformal sets.
        resamples: of the gaps between subgroups, and the most leave-out samples of each interval;
            see ``subgroups`` and ``intervals``.

    Raises UserError if no image has a label for any task, or the table lacks a task's columns.
    """
    answered = {name: answers_of(table, task) for name, task in tasks.items()}
    if not any(len(answers.truth) for answers in answered.values()):
        raise UserError(
            f"no tested image has a label for {' or '.join(tasks)}; "
            "test on images that have one, or choose other tasks"
        )
    measured = {
        "images": len(table),
        "tasks": {
            name: _measure_task(answers, calibration.get(name), resamples)
            for name, answers in answered.items()
        },
        "subgroups": subgroups(table, tasks, resamples=resamples),
    }
    plain: dict[str, Any] = _plain(measured)
    return plain


def _measure_task(
    answers: Answers, calibration: Mapping[str, Any] | None, resamples: int
) -> dict[str, Any]:
    by_weighting = {
        key: {
            name: interval.plain()
            for name, interval in intervals(
                answers, per_person=per_person, leave_outs=resamples
            ).items()
        }
        for key, per_person in (("scores", False), ("per_person", True))
    }
    return {
        "images": len(answers.truth),
        "people": len(np.unique(answers.people)),
        "clustered_on": answers.clustered_on,
        **by_weighting,
        "classes": class_scores(answers).to_dict("index"),
        "confusion": confusion(answers).tolist(),
        "calibration": _measure_calibration(answers, calibration, resamples),
    }


def _measure_calibration(
    answers: Answers, calibration: Mapping[str, Any] | None, resamples: int
) -> dict[str, Any]:
    temperature = calibration["temperature"] if calibration else None
    raw = answers
    if temperature is not None:
        probabilities = tempered(answers.probabilities, 1 / temperature)
        raw = Answers(
            answers.task, answers.truth, probabilities, answers.people, answers.clustered_on
        )
    before = scores(raw)
    curve, area = risk_coverage(answers)
    return {
        "temperature": temperature,
        "uncalibrated": {name: before[name] for name in ("nll", "ece")},
        "reliability": reliability(answers).to_dict("records"),
        "risk_coverage": {"area": area, "points": _thinned(curve).to_dict("records")},
        "conformal": {
            level: _measure_sets(answers, threshold, resamples)
            for level, threshold in (calibration["conformal"] if calibration else {}).items()
        },
    }


def _measure_sets(answers: Answers, threshold: float, resamples: int) -> dict[str, Any]:
    """Return how often the conformal sets hold the true class, and how many classes they name."""
    sets = prediction_sets(answers.probabilities, threshold, ordinal=answers.task.ordinal)
    held = sets[np.arange(len(answers.truth)), answers.truth]
    return {
        "threshold": threshold,
        "coverage": mean_interval(held, answers.people, resamples).plain(),
        "mean_size": float(sets.sum(1).mean()) if len(sets) else np.nan,
    }


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the first point at or above each twentieth of the coverage, once each."""
    coverage = curve["coverage"].to_numpy()
    wanted = np.arange(1, POINTS + 1) / POINTS
    positions = np.searchsorted(coverage, wanted - 1e-9)  # 3 / 20 is not quite 0.15
    return curve.iloc[np.unique(positions[positions < len(curve)])]


def _plain(value: Any) -> Any:
    """Return the value with Python's own numbers and None for NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value
