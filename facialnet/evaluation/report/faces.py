"""Faces with what was answered: right, wrong and least certain ones."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.evaluation.gallery import choose_faces
from facialnet.evaluation.runs import Run
from facialnet.labels import Task

_SHOWN = 3  # classes of a face that get a bar


@dataclass(frozen=True)
class Face:
    """A tested face: PNG in base64, label, answer, and its most probable classes."""

    png: str
    path: str
    truth: str
    predicted: str
    probabilities: list[tuple[str, float]]

    @property
    def right(self) -> bool:
        """Return whether the answer is the label."""
        return self.truth == self.predicted


def gallery(table: pd.DataFrame, task: Task, runs: Sequence[Run]) -> dict[str, list[Face]]:
    """Choose faces of each kind among those whose picture the runs kept.

    Args:
        table: predictions with the column ``run``, the position in ``runs``.
        task: the task whose answers are shown.
        runs: their folders hold ``gallery/<row>.png``.
    """
    kept = {
        (number, int(path.stem)): path
        for number, run in enumerate(runs)
        for path in (run.folder / "gallery").glob("*.png")
        if path.stem.isdigit()
    }
    if "row" not in table.columns or not kept:
        return {}
    keys = pd.MultiIndex.from_arrays([table["run"], table["row"]])
    shown = table[keys.isin(list(kept))].drop_duplicates(["source", "path"])
    chosen = choose_faces(shown, task)
    return {
        kind: [_face(shown.iloc[place], task, kept) for place in places]
        for kind, places in chosen.items()
        if places
    }


def _face(row: "pd.Series[str]", task: Task, kept: dict[tuple[int, int], Path]) -> Face:
    values = {label: float(row[f"{task.name}_p_{label}"]) for label in task.classes}
    best = sorted(values.items(), key=lambda pair: -pair[1])[:_SHOWN]
    return Face(
        png=base64.b64encode(kept[int(row["run"]), int(row["row"])].read_bytes()).decode(),
        path=str(row["path"]),
        truth=str(row[f"{task.name}_true"]),
        predicted=str(row[f"{task.name}_predicted"]),
        probabilities=best,
    )
