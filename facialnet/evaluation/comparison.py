"""Paired comparison of runs that answered the same images."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from facialnet.errors import UserError
from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.intervals import Interval, mean_interval
from facialnet.labels import Task

_IMAGE = ["source", "path"]  # what an image is known by


def compare(
    first: pd.DataFrame, second: pd.DataFrame, task: Task, *, leave_outs: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Compare the answers of two runs to one task, image by image.

    The difference, first minus second, has a 95 % interval clustered on people, and that interval
    alone gives the ``verdict``: ``first better``, ``second better`` or ``no difference shown``.
    ``mcnemar_p`` is McNemar's exact test (McNemar 1947; two-sided binomial test on the images that
    only one run has right). It takes images as independent, which several images of one person are
    not, so that it tends to be too small.

    Args:
        first: table of predictions.
        second: table of predictions on the same images, in any order.
        task: the question to compare; images without a label for it play no part.
        leave_outs: as for ``mean_interval``.
        seed: as for ``mean_interval``.

    Returns:
        Plain data: ``task, images, people, clustered_on``; the counts ``both_right, only_first,
        only_second, both_wrong``; ``accuracy``, and for ordinal tasks ``one_off``, each with
        ``first, second, difference`` (``value, low, high``, None where there is none) and
        ``verdict``; ``mcnemar_p`` and ``verdict`` of the accuracy.

    Raises:
        UserError: the images, their labels or the classes differ, or no image has a label.
    """
    _check_classes(first, second, task)
    ours, theirs = _matched(first, second, task)
    answers, others = answers_of(ours, task), answers_of(theirs, task)
    off = np.abs(answers.predicted - answers.truth)
    other_off = np.abs(others.predicted - others.truth)
    right, other_right = off == 0, other_off == 0
    only_first = int((right & ~other_right).sum())
    only_second = int((other_right & ~right).sum())

    def score(values: NDArray[np.bool_], other: NDArray[np.bool_]) -> dict[str, Any]:
        return _paired(values, other, answers.people, leave_outs, seed)

    accuracy = score(right, other_right)
    result = {
        "task": task.name,
        "images": len(right),
        "people": len(np.unique(answers.people)),
        "clustered_on": answers.clustered_on,
        "both_right": int((right & other_right).sum()),
        "only_first": only_first,
        "only_second": only_second,
        "both_wrong": int((~right & ~other_right).sum()),
        "accuracy": accuracy,
        "mcnemar_p": _mcnemar(only_first, only_second),
        "verdict": accuracy["verdict"],
    }
    if task.ordinal:
        result["one_off"] = score(off <= 1, other_off <= 1)
    return result


def compare_all(
    tables: Mapping[str, pd.DataFrame],
    tasks: Mapping[str, Task],
    *,
    leave_outs: int = 2000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compare every pair of runs in every task that both answer.

    Args:
        tables: run's name to table of predictions.
        tasks: task name to task.
        leave_outs: as in ``compare``.
        seed: as in ``compare``.

    Returns:
        One record for each task and pair: ``first`` and ``second``, the runs' names; ``task``;
        ``comparable``. Where that is true, also what ``compare`` returns and ``mcnemar_p_holm``, p
        corrected for the number of pairs compared in this task (Holm 1979); the verdict is not
        corrected. Else ``reason``, one line.
    """
    records = []
    for name, task in tasks.items():
        runs = [run for run, table in tables.items() if f"{name}_true" in table.columns]
        compared = []
        for first, second in combinations(runs, 2):
            record: dict[str, Any] = {"first": first, "second": second, "task": name}
            try:
                found = compare(
                    tables[first], tables[second], task, leave_outs=leave_outs, seed=seed
                )
            except UserError as error:
                record |= {"comparable": False, "reason": str(error)}
            else:
                record |= {"comparable": True, **found}
                compared.append(record)
            records.append(record)
        corrected = holm([record["mcnemar_p"] for record in compared])
        for record, p_value in zip(compared, corrected, strict=True):
            record["mcnemar_p_holm"] = p_value
    return records


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's step-down method (Holm 1979)."""
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def _paired(
    values: NDArray[np.bool_],
    other: NDArray[np.bool_],
    people: NDArray[np.int64],
    leave_outs: int,
    seed: int,
) -> dict[str, Any]:
    first, second = values.astype(np.float64), other.astype(np.float64)
    difference = mean_interval(first - second, people, leave_outs, seed, bounds=(-1.0, 1.0))
    return {
        "first": mean_interval(first, people, leave_outs, seed).plain(),
        "second": mean_interval(second, people, leave_outs, seed).plain(),
        "difference": difference.plain(),
        "verdict": _verdict(difference),
    }


def _verdict(difference: Interval) -> str:
    if difference.low > 0:
        return "first better"
    if difference.high < 0:
        return "second better"
    return "no difference shown"  # also where there is no interval: its ends are NaN


def _mcnemar(only_first: int, only_second: int) -> float:
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def _check_classes(first: pd.DataFrame, second: pd.DataFrame, task: Task) -> None:
    prefix = f"{task.name}_p_"
    for table in (first, second):
        known = [name.removeprefix(prefix) for name in table.columns if name.startswith(prefix)]
        if known != list(task.classes):  # their order too: an ordinal task's distances rest on it
            raise UserError(
                f"task {task.name}: classes do not match: {', '.join(known) or 'none'} in the "
                f"answers, {', '.join(task.classes)} in the task; compare runs of the same classes"
            )


def _matched(
    first: pd.DataFrame, second: pd.DataFrame, task: Task
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the labelled rows of both tables in the same order."""
    true = f"{task.name}_true"
    left, right = (
        table[table[true].isin(task.classes)]
        .set_index(_IMAGE, drop=False)
        .rename_axis([None, None])
        for table in (first, second)
    )
    for table in (left, right):
        if table.index.has_duplicates:
            path = table.index[table.index.duplicated()][0][1]
            raise UserError(f"the predictions have several rows for one image, for example {path}")
    if not len(left) and not len(right):
        raise UserError(f"task {task.name}: no image has a label, so there is nothing to compare")
    strangers = left.index.symmetric_difference(right.index)
    if len(strangers):
        every = len(left.index.union(right.index))
        raise UserError(
            f"task {task.name}: the test images differ: {len(strangers)} of {every} are in one run "
            f"only, for example {strangers[0][1]}; compare runs of the same data and test fold"
        )
    right = right.loc[left.index]
    other = np.flatnonzero(left[true].to_numpy() != right[true].to_numpy())
    if len(other):
        row = left.iloc[other[0]]
        raise UserError(
            f"task {task.name}: the labels differ on {len(other)} of {len(left)} images, for "
            f"example {row['path']}: {row[true]} and {right[true].iloc[other[0]]}; compare runs of "
            "the same label policy"
        )
    return left, right
