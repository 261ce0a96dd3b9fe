"""One task's answers as arrays, and which of them depend on one another."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facialnet.errors import UserError
from facialnet.labels import Task


@dataclass(frozen=True)
class Answers:
    """One task's answers on the images that have a label for it.

    Attributes:
        task: the question.
        truth: int64 [N], 0..C-1, never IGNORE.
        probabilities: float64 [N, C], rows sum to 1.
        people: int64 [N], number of the cluster that an image belongs to, 0..P-1, none unused.
        clustered_on: ``people``, ``photos`` or ``images``: the most that is known of what belongs
            together.
    """

    task: Task
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    people: NDArray[np.int64]
    clustered_on: str

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Most probable class, int64 [N]; the first of equals."""
        if not len(self.truth):
            return np.zeros(0, np.int64)
        return np.asarray(self.probabilities.argmax(1), np.int64)


def answers_of(table: pd.DataFrame, task: Task) -> Answers:
    """Return a task's answers from a table of predictions.

    Rows without a label for the task, or with one that is none of its classes, are left out. Images
    of one (source, subject) form a cluster; an image without a subject joins its look-alikes, or
    else those of its (source, photo), that have none either, and stands alone without any.
    ``clustered_on`` is ``people`` if any image left has a subject, else ``photos`` if any two share
    a photo, else ``images``.

    Raises UserError if the table lacks a column of the task.
    """
    names = [f"{task.name}_p_{name}" for name in task.classes]
    missing = [name for name in (f"{task.name}_true", *names) if name not in table.columns]
    if missing:
        raise UserError(
            f"task {task.name}: the predictions lack the column {missing[0]}; "
            "evaluate again with the classes of this task"
        )
    # a label of another name counts as missing, as in training
    codes = pd.Index(task.classes).get_indexer(pd.Index(table[f"{task.name}_true"]))
    labelled = table[codes >= 0]
    probabilities = labelled[names].to_numpy(np.float64)
    people, clustered_on = clusters(labelled)
    return Answers(
        task=task,
        truth=codes[codes >= 0].astype(np.int64),
        probabilities=probabilities / probabilities.sum(1, keepdims=True),
        people=people,
        clustered_on=clustered_on,
    )


def clusters(table: pd.DataFrame) -> tuple[NDArray[np.int64], str]:
    """Return each row's cluster, int64 [N] from 0, and what they are: people, photos or images.

    Columns ``source``, ``subject``, ``photo`` and ``lookalike`` may be missing; see ``answers_of``
    for the rule.
    """
    empty = pd.Series(pd.NA, index=table.index, dtype="object")
    subject = table.get("subject", empty)
    photo = table.get("lookalike", empty).fillna(table.get("photo", empty))
    known, shot = subject.notna().to_numpy(), photo.notna().to_numpy()
    keys = pd.DataFrame(
        {
            "kind": np.select([known, shot], ["subject", "photo"], "row"),
            "source": table.get("source", empty)
            .astype("object")
            .where(known | shot, "")
            .fillna(""),
            "key": np.select(
                [known, shot],
                [subject.astype(str), photo.astype(str)],
                np.arange(len(table)).astype(str),
            ),
        }
    )
    numbers: NDArray[np.int64] = np.asarray(
        keys.groupby(["kind", "source", "key"], sort=False).ngroup(), np.int64
    )
    if known.any():
        return numbers, "people"
    return numbers, "photos" if len(numbers) and numbers.max() + 1 < len(numbers) else "images"
