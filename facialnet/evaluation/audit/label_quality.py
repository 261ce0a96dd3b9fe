"""How far out-of-fold predictions speak against the labels that a data set gives."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray

from facialnet.errors import UserError
from facialnet.labels import Task

FEWEST = 5  # images, and groups of images, that a class needs to be judged


@dataclass(frozen=True)
class Judgement:
    """One task's labels, judged.

    Attributes:
        task: the question.
        suspects: rows whose likely class differs from the given one, the most suspicious first:
            ``row`` (position in the manifest), ``task``, ``given``, ``likely``, ``probability`` (of
            the given class), ``quality`` (0 to 1, low is suspicious), ``rank`` (from 1), ``issue``
            (cleanlab counts it as a label error).
        judged: images that were judged.
        accuracy: share of them whose most probable class is the given one; NaN where there is none.
        majority: share of the most frequent class among them.
        rare: classes that were left out, with their images.
        unanswered: labelled images without a usable prediction.
    """

    task: Task
    suspects: pd.DataFrame
    judged: int
    accuracy: float
    majority: float
    rare: Mapping[str, int]
    unanswered: int


def codes_of(manifest: pd.DataFrame, task: Task) -> NDArray[np.int64]:
    """Return each row's class number, int64 [N]; -1 where the label is missing or another's."""
    return np.asarray(pd.Index(task.classes).get_indexer(pd.Index(manifest[task.column])), np.int64)


def rare_classes(codes: NDArray[np.int64], groups: NDArray[np.int64], task: Task) -> dict[str, int]:
    """Return the classes, with their images, that have too few images or groups to be judged."""
    found = {}
    for number, name in enumerate(task.classes):
        own = codes == number
        if own.any() and len(np.unique(groups[own])) < FEWEST:
            found[name] = int(own.sum())
    return found


def label_quality(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, ordinal: bool
) -> NDArray[np.float64]:
    """Score labels from 0, surely wrong, to 1: float64 [N].

    The probability of the given class (self-confidence; Northcutt et al. 2021, Confident Learning,
    section 3). Neighbouring age groups are confused by nature, so for ordered classes it is the
    mean of that and of the probability of the given class and its neighbours: labels that are far
    off come first, and a threshold means about the same as for two classes.
    """
    confidence = get_label_quality_scores(labels, probabilities, method="self_confidence")
    scores: NDArray[np.float64] = np.asarray(confidence, np.float64)
    if not ordinal:
        return scores
    near = np.abs(np.arange(probabilities.shape[1]) - labels[:, None]) <= 1
    close: NDArray[np.float64] = (probabilities * near).sum(1)
    return (scores + close) / 2


def judge(
    task: Task,
    codes: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    rare: Mapping[str, int],
) -> Judgement:
    """Compare labels with out-of-fold probabilities.

    Args:
        task: the question.
        codes: class numbers of all manifest rows, int64 [N], -1 without a label.
        probabilities: [N, C], rows that nobody predicted NaN.
        rare: classes to leave out, with their images; their probability goes to the others.
    """
    kept = np.flatnonzero([name not in rare for name in task.classes])
    number_of = np.full(len(task.classes) + 1, -1)  # the last one serves the code -1
    number_of[kept] = np.arange(len(kept))
    labels = number_of[codes]
    totals = probabilities[:, kept].sum(1)  # NaN compares false
    rows = np.flatnonzero((labels >= 0) & (totals > 0))
    unanswered = int((labels >= 0).sum()) - len(rows)
    labels = labels[rows]
    answers = probabilities[np.ix_(rows, kept)] / totals[rows, None]
    likely = answers.argmax(1) if len(rows) else labels
    issue = np.zeros(len(rows), bool)
    quality = np.ones(len(rows))
    if len(np.unique(labels)) > 1:
        quality = label_quality(labels, answers, ordinal=task.ordinal)
        with warnings.catch_warnings():  # rare classes are reported by name
            warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)
            issue = np.asarray(find_label_issues(labels, answers, n_jobs=1), bool)
    names = np.array([task.classes[number] for number in kept], dtype=object)
    suspects = pd.DataFrame(
        {
            "row": rows,
            "task": task.name,
            "given": names[labels],
            "likely": names[likely],
            "probability": answers[np.arange(len(rows)), labels],
            "quality": quality,
            "issue": issue,
        }
    )[likely != labels].sort_values("quality", kind="stable", ignore_index=True)
    suspects.insert(6, "rank", np.arange(1, len(suspects) + 1))
    counts = np.bincount(labels, minlength=1)
    return Judgement(
        task=task,
        suspects=suspects,
        judged=len(rows),
        accuracy=float((likely == labels).mean()) if len(rows) else float("nan"),
        majority=float(counts.max() / len(rows)) if len(rows) else float("nan"),
        rare=dict(rare),
        unanswered=unanswered,
    )


def mean_predictions(
    tables: list[pd.DataFrame], paths: pd.Series, task: Task
) -> NDArray[np.float64]:
    """Return a task's probabilities for the manifest's rows, [N, C], NaN without a prediction.

    Several predictions of one picture are averaged.

    Args:
        tables: of predictions, as runs leave them: ``path`` and ``<task>_p_<class>``.
        paths: of the manifest, [N].
        task: the question.

    Raises:
        UserError: a table lacks a column or predicts a picture that is not in the manifest.
    """
    names = [f"{task.name}_p_{name}" for name in task.classes]
    for table in tables:
        if missing := [name for name in ("path", *names) if name not in table.columns]:
            raise UserError(
                f"audit.predictions: the column {missing[0]} is missing; choose the tasks that the "
                f"runs answered (tasks=...), not {task.name}"
            )
    joined = pd.concat([table[["path", *names]] for table in tables], ignore_index=True)
    foreign = joined.loc[~joined["path"].isin(paths), "path"]
    if len(foreign):
        raise UserError(
            f"audit.predictions: {len(foreign):,} of {len(joined):,} predictions are of pictures "
            f"that this data set lacks, such as {foreign.iloc[0]}; choose the runs' own data"
        )
    means = joined.groupby("path")[names].mean()
    found: NDArray[np.float64] = means.reindex(paths).to_numpy(np.float64)
    return found
