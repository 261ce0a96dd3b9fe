"""Photos with known labels, and how well a network answers them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.data.sources.folder import FolderSource
from facialnet.errors import UserError
from facialnet.inference.predictor import Answered
from facialnet.labels import Task


class LabelledPhotos:
    """Read labels from class folders or a CSV file, and set answers against them.

    Args:
        place: a folder with class folders such as ``man/`` and ``woman/``, or a CSV file with the
            columns path and gender, age_group or age_years; see FolderSource.
        tasks: task name to task; the labels are those of their columns.

    Raises UserError where there are no labels, or none for any task.
    """

    def __init__(self, place: Path, tasks: Mapping[str, Task]) -> None:
        if not place.exists():
            raise UserError(f"--labels {place}: there is no such folder or CSV file")
        is_csv = place.is_file()
        source = FolderSource(
            root=str(place.parent if is_csv else place), csv=str(place) if is_csv else None
        )
        reading = source.read()
        rows = reading.rows[reading.rows["dropped"].isna()]
        self._tasks = {name: task for name, task in tasks.items() if task.column in rows.columns}
        columns = list(dict.fromkeys(task.column for task in self._tasks.values()))
        if not columns or rows[columns].isna().all(axis=None):
            raise UserError(f"--labels {place}: no photo has a label for {' or '.join(tasks)}")
        self.paths = [str(reading.root / path) for path in rows["path"]]
        self._truth: dict[str, dict[str, Any]] = {
            path: dict(zip(columns, values, strict=True))
            for path, values in zip(self.paths, rows[columns].to_numpy(object), strict=True)
        }
        self._rows: list[dict[str, Any]] = []

    def add(self, answered: Answered) -> bool | None:
        """Take an answer; return whether it meets the labels, None where nothing is to be said."""
        answer = answered.answer
        truth = self._truth[answer.path]
        row: dict[str, Any] = {"path": answer.path, "state": _state(answered)}
        right = []
        for name, task in self._tasks.items():
            label = truth[task.column]
            row[f"{name}_true"] = label
            if not answer.faces:
                continue
            given = answer.faces[0][name]
            row |= {f"{name}_p_{each}": p for each, p in given.probabilities.items()}
            if label in task.classes:
                right.append(label == given.label)
        self._rows.append(row)
        return all(right) if right else None

    def table(self) -> pd.DataFrame:
        """Return a row for each photo: path, state, and for each task truth and probabilities.

        ``state`` is ``face``, ``whole`` (no face was found, the photo was taken as it is), ``no
        face`` or ``unreadable``; the probabilities of the last two are missing.
        """
        columns = ["path", "state"]
        for name, task in self._tasks.items():
            columns += [f"{name}_true", *(f"{name}_p_{each}" for each in task.classes)]
        return pd.DataFrame(self._rows, columns=columns)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that there are labels for."""
        return self._tasks


def _state(answered: Answered) -> str:
    answer = answered.answer
    if answer.error is not None:
        return "unreadable"
    if not answer.faces:
        return "no face"
    return "whole" if answer.no_face == "whole" else "face"
