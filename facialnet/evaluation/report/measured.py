"""What one setup measured: its one run, all its folds together, or their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.calibration import tempered
from facialnet.evaluation.measure import measure
from facialnet.evaluation.report.setups import Setup
from facialnet.evaluation.runs import Run
from facialnet.evaluation.scores import scores
from facialnet.labels import Task

_RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """A figure with the ends of its 95 % interval, None where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any] | None) -> "Score":
        """Read a score of metrics.json; nothing of a score that is not there."""
        record = record or {}
        return cls(record.get("value"), record.get("low"), record.get("high"))


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a score over folds, or over seeds where there is one fold."""

    mean: float
    sd: float | None
    count: int
    over: str
    seeds: int


@dataclass(frozen=True)
class Measured:
    """The figures that stand for a setup.

    Attributes:
        setup: whose.
        metrics: as in metrics.json; of all runs' answers together where they are pooled, else of
            the first finished run.
        how: in words, where the figures come from.
        pooled: whether they are those of several runs' answers together.
        images: how many different images were tested.
        table: the answers behind ``metrics``, with the column ``run``: position in ``setup.done``.
    """

    setup: Setup
    metrics: dict[str, Any]
    how: str
    pooled: bool
    images: int
    table: pd.DataFrame

    def score(self, task: str, name: str, weighting: str = "scores") -> Score:
        """Return a score; without an interval where it is a mean over overlapping test sets."""
        if self._means:
            spread = spread_of(self.setup, task, name, weighting)
            return Score(spread.mean if spread else None)
        return Score.of(self.metrics["tasks"].get(task, {}).get(weighting, {}).get(name))

    @property
    def _means(self) -> bool:
        return len(self.setup.done) > 1 and not self.pooled


def measured(setup: Setup) -> Measured | None:
    """Measure a setup; None where no run of it is finished."""
    if not setup.done:
        return None
    first = setup.done[0]
    if len(setup.done) == 1:
        how = "one run" if len(setup.runs) == 1 else f"one run: {setup.title_of(first)}"
        table = first.predictions.assign(run=0)
        return Measured(setup, first.metrics, how, False, len(table), table)
    pooled = setup.pooled
    if pooled is None:
        how = (
            f"mean of {len(setup.done)} runs; not pooled, because {setup.overlap:,} images are "
            f"tested by more than one. Details are those of {setup.title_of(first)}"
        )
        table = first.predictions.assign(run=0)
        return Measured(setup, first.metrics, how, False, len(table), table)
    metrics = measure(pooled, setup.tasks, {}, resamples=_RESAMPLES)
    _add_calibration(metrics, setup, pooled)
    images = len(pooled.drop_duplicates(["source", "path"]))
    return Measured(setup, metrics, _how_pooled(setup), True, images, pooled)


def _how_pooled(setup: Setup) -> str:
    folds = len({run.fold for run in setup.done})
    parts = []
    if setup.fold_count:
        parts.append(f"answers of {folds} of {setup.fold_count} folds together")
    if len(setup.seeds) > 1:
        seeds = ", ".join(str(seed) for seed in setup.seeds)
        parts.append(f"mean over the seeds {seeds}")
    if setup.uneven:
        parts.append("not every fold was run with every seed, so folds count unequally")
    return "; ".join(parts) or f"answers of {len(setup.done)} runs together"


def spread_of(setup: Setup, task: str, name: str, weighting: str = "scores") -> Spread | None:
    """Return mean and standard deviation of a score over the finished runs; None without any.

    Over several folds: a fold's seeds are averaged first, so that the deviation is between folds.
    """
    values = [
        (run.fold, Score.of(run.metrics["tasks"].get(task, {}).get(weighting, {}).get(name)).value)
        for run in setup.done
    ]
    table = pd.DataFrame(values, columns=["fold", "value"]).dropna(subset=["value"])
    if table.empty:
        return None
    by_fold = table.groupby("fold", dropna=False)["value"].mean()
    over_folds = len(by_fold) > 1
    units = by_fold if over_folds else table["value"]
    return Spread(
        mean=float(units.mean()),
        sd=float(units.std(ddof=1)) if len(units) > 1 else None,
        count=len(units),
        over="folds" if over_folds else "seeds",
        seeds=len(setup.seeds) if over_folds else 1,
    )


def _add_calibration(metrics: dict[str, Any], setup: Setup, pooled: pd.DataFrame) -> None:
    """Put what pooled answers cannot say: means over the runs, each of which has its own fit.

    The uncalibrated scores are those of the same images with each run's temperature undone.
    """
    runs = setup.done
    for name, task in metrics["tasks"].items():
        own = [run.metrics["tasks"].get(name, {}).get("calibration") or {} for run in runs]
        calibration = task["calibration"]
        temperatures = [each["temperature"] for each in own if each.get("temperature")]
        calibration["temperature"] = float(np.mean(temperatures)) if temperatures else None
        if task["images"]:
            raw = scores(
                answers_of(_uncalibrated(pooled, setup.tasks[name], runs), setup.tasks[name])
            )
            calibration["uncalibrated"] = {score: float(raw[score]) for score in ("nll", "ece")}
        sets = [each.get("conformal") or {} for each in own]
        levels = set.intersection(*(set(each) for each in sets)) if sets else set()
        calibration["conformal"] = {
            level: {
                "threshold": None,
                "coverage": {
                    "value": float(np.mean([each[level]["coverage"]["value"] for each in sets])),
                    "low": None,
                    "high": None,
                },
                "mean_size": float(np.mean([each[level]["mean_size"] for each in sets])),
            }
            for level in sorted(levels)
        }


def _uncalibrated(pooled: pd.DataFrame, task: Task, runs: Sequence[Run]) -> pd.DataFrame:
    """Return pooled answers to a task with each run's temperature undone."""
    columns = [f"{task.name}_p_{label}" for label in task.classes]
    probabilities = pooled[columns].to_numpy(np.float64, copy=True)
    for number, run in enumerate(runs):
        fit = (run.results.get("calibration") or {}).get(task.name) or {}
        if temperature := fit.get("temperature"):
            of_run = (pooled["run"] == number).to_numpy()
            probabilities[of_run] = tempered(probabilities[of_run], 1 / temperature)
    return pooled.assign(**dict(zip(columns, probabilities.T, strict=True)))
