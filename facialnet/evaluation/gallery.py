"""Which faces are worth looking at: right, wrong and least certain ones."""

import numpy as np
import pandas as pd

from facialnet.labels import Task

KINDS = ("right", "wrong", "uncertain")


def choose_faces(table: pd.DataFrame, task: Task, *, count: int = 8) -> dict[str, list[int]]:
    """Choose rows of a predictions table for each of KINDS, at most ``count`` each.

    Right answers are drawn at random, always the same ones; wrong answers are the most certain
    ones, which show label errors too; the least certain are those of the lowest confidence.
    No person is shown twice in one kind where people are known. Positions, not index labels.
    """
    shown = [f"{task.name}_p_{label}" for label in task.classes]
    confidence = table[shown].max(axis=1).to_numpy(float)
    truth = table[f"{task.name}_true"]
    known = truth.isin(task.classes).to_numpy(bool)
    right = known & (truth == table[f"{task.name}_predicted"]).fillna(False).to_numpy(bool)
    chance = np.random.default_rng(0).random(len(table))
    order = {"right": chance, "wrong": -confidence, "uncertain": confidence}
    allowed = {"right": right, "wrong": known & ~right, "uncertain": known}
    chosen = {}
    for kind in KINDS:
        candidates = np.flatnonzero(allowed[kind])
        sorted_ = candidates[np.argsort(order[kind][candidates], kind="stable")]
        chosen[kind] = _one_each(table["subject"].iloc[sorted_], sorted_)[:count]
    return chosen


def _one_each(
    subjects: "pd.Series[str]", rows: "np.ndarray[tuple[int], np.dtype[np.int64]]"
) -> list[int]:
    again = subjects.notna().to_numpy() & subjects.duplicated().to_numpy()
    return [int(row) for row in rows[~again]]
