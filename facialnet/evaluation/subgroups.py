"""How well groups of people fare: by gender, age, race and data set; the worst group, the gap."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, count
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

from facialnet.evaluation.answers import Answers, answers_of
from facialnet.evaluation.gap import gap_interval
from facialnet.evaluation.intervals import mean_interval
from facialnet.labels import AGE_GROUPS, GENDERS, RACES, Task

# With 30 images one answer moves the accuracy by 3 points, and an accuracy near 0.8 is known to
# 14 points either way. With 10 people the spread between people, on which every interval rests, is
# itself known to no better than a quarter.
SMALLEST_IMAGES = 30
SMALLEST_PEOPLE = 10

_GROUPINGS = (("gender",), ("age_group",), ("age_group", "gender"), ("race",), ("source",))
_ORDER: dict[str, tuple[str, ...]] = {
    "gender": GENDERS,
    "age_group": AGE_GROUPS,
    "race": RACES,
    "source": (),
}


def subgroups(
    table: pd.DataFrame, tasks: Mapping[str, Task], *, resamples: int = 1000
) -> dict[str, dict[str, Any]]:
    """Return how each task fares in groups of people, as plain data.

    Groupings are ``gender``, ``age_group``, ``age_group x gender``, ``race`` and ``source`` (the
    data set), each where the task's labelled images have two known values or more in every column.
    A task may be grouped by its own labels: the accuracy is then each class's recall.

    Groups of fewer than SMALLEST_IMAGES images or SMALLEST_PEOPLE people are ``small``: they are
    listed, but never the worst or best group, nor do they count in the gap. The gap between best
    and worst, an extreme of noisy figures, is on average larger than the true one; its interval
    (``gap_interval``) has that in mind, and begins at 0 where chance alone may explain the gap.

    Args:
        table: of predictions.
        tasks: task name to task.
        resamples: as for ``mean_interval`` and ``gap_interval``.

    Returns:
        Task name to grouping to ``groups`` (records with ``group``, ``images``, ``people``,
        ``accuracy``, for ordinal tasks ``one_off``, and ``small``), ``worst`` and ``best``
        (``group, value, low, high``), ``gap`` (``value, low, high``), ``left_out``, the number of
        images that have a label for the task but no group, and ``warning``, one line. Worst, best
        and gap are None where fewer than two groups are large enough, the ends of an interval where
        there is none, the warning where no group is small.

    Raises:
        UserError: the table lacks a column of a task.
    """
    result: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        answers = answers_of(table, task)
        labelled = table[table[f"{name}_true"].isin(task.classes)]
        result[name] = {}
        for columns in _GROUPINGS:
            names, order = _names(labelled, columns)
            if len(order) > 1:
                result[name][" x ".join(columns)] = _grouping(answers, names, order, resamples)
    return result


def _grouping(
    answers: Answers, names: NDArray[np.object_], order: Sequence[str], resamples: int
) -> dict[str, Any]:
    known = np.isin(names, order)
    names, people = names[known], answers.people[known]
    frame, hits = _frame(answers, known, names)
    frame = frame.loc[list(order)]
    small = (frame["images"] < SMALLEST_IMAGES) | (frame["people"] < SMALLEST_PEOPLE)
    groups: dict[str, dict[str, Any]] = {}
    for name in order:
        member = names == name
        numbers = np.unique(people[member], return_inverse=True)[1]
        groups[name] = {
            "group": name,
            "images": int(frame["images"][name]),
            "people": int(frame["people"][name]),
            "small": bool(small[name]),
        }
        for score, values in hits.items():
            groups[name][score] = mean_interval(values[member], numbers, resamples).plain()
    found: dict[str, Any] = {
        "groups": list(groups.values()),
        "worst": None,
        "best": None,
        "gap": None,
        "left_out": int((~known).sum()),
        "warning": _warning(list(small.index[small])),
    }
    large = frame["accuracy"][~small]
    if len(large) > 1:
        for place, name in (("worst", str(large.idxmin())), ("best", str(large.idxmax()))):
            found[place] = {"group": name, **groups[name]["accuracy"]}
        codes = pd.Index(large.index).get_indexer(names)
        part = codes >= 0
        found["gap"] = gap_interval(
            hits["accuracy"][part], codes[part], people[part], resamples=resamples
        ).plain()
    return found


def _names(labelled: pd.DataFrame, columns: Sequence[str]) -> tuple[NDArray[np.object_], list[str]]:
    """Return each row's group, "" where it has none, and the groups in the order of their labels.

    No groups where a column is not there or the same in all rows.
    """
    names = np.full(len(labelled), "", dtype=object)
    if any(column not in labelled or labelled[column].nunique() < 2 for column in columns):
        return names, []
    values = []
    for column in columns:
        found, usual = set(labelled[column].dropna()), _ORDER[column]
        values.append([*(name for name in usual if name in found), *sorted(found - set(usual))])
    order = []
    for combination in product(*values):
        name = " · ".join(combination)
        member = np.ones(len(labelled), dtype=bool)
        for column, value in zip(columns, combination, strict=True):
            member &= (labelled[column] == value).to_numpy(dtype=bool, na_value=False)
        names[member] = name
        if member.any():
            order.append(name)
    return names, order


def _frame(
    answers: Answers, known: NDArray[np.bool_], names: NDArray[np.object_]
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float64]]]:
    """Return images, people and accuracy of each group, and each image's hits, 1 or 0."""
    truth, predicted = answers.truth[known], answers.predicted[known]
    hits = {"accuracy": (truth == predicted).astype(np.float64)}
    if answers.task.ordinal:
        hits["one_off"] = (np.abs(truth - predicted) <= 1).astype(np.float64)
    frame = MetricFrame(
        metrics={"images": count, "people": _distinct, "accuracy": accuracy_score},
        y_true=truth,
        y_pred=predicted,
        sensitive_features=pd.Series(names, name="group"),
        sample_params={"people": {"people": answers.people[known]}},
    )
    return frame.by_group, hits


def _distinct(
    _truth: NDArray[np.int64], _predicted: NDArray[np.int64], people: NDArray[np.int64]
) -> int:
    return len(np.unique(people))


def _warning(small: Sequence[str]) -> str | None:
    if not small:
        return None
    return (
        f"too small to say anything (under {SMALLEST_IMAGES} images or {SMALLEST_PEOPLE} people), "
        f"so left out of worst, best and gap: {', '.join(small)}"
    )
