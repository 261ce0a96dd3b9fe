"""The report on a labelled folder: average precision for each class, and accuracy.

The seven-layer CNN's report prints a single figure as "AP" or "mAP" that is the share of right
answers, which is accuracy ("72 images correctly predicted among 75 evaluation images, mAP(%):
96.00"). Here both are printed, each under its own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.scores import class_scores, scores
from facialnet.labels import Task

STATES = {
    "face": "with a face found",
    "whole": "without a face found, answered as a whole",
    "no face": "without a face found, not answered",
    "unreadable": "unreadable",
}


@dataclass(frozen=True)
class TaskReport:
    """How well one task was answered.

    Attributes:
        task: the task.
        labelled: photos with a label for it.
        answered: those of them with an answer.
        right: those answered rightly.
        classes: photos, precision, recall, f1 and average_precision for each class; see
            ``class_scores``.
        mean_average_precision: over the classes that occur.
    """

    task: Task
    labelled: int
    answered: int
    right: int
    classes: pd.DataFrame
    mean_average_precision: float

    @property
    def accuracy(self) -> float:
        """Share of right answers among the answers; NaN without any."""
        return self.right / self.answered if self.answered else np.nan

    @property
    def accuracy_of_all(self) -> float:
        """Share of right answers among all labelled photos: those without an answer are wrong."""
        return self.right / self.labelled if self.labelled else np.nan


def report_on(table: pd.DataFrame, tasks: Mapping[str, Task]) -> list[TaskReport]:
    """Return a report for each task.

    Args:
        table: a row for each photo, ``{task}_true`` and ``{task}_p_{class}`` for each task, missing
            where there is no label or no answer.
        tasks: task name to task.
    """
    reports = []
    for name, task in tasks.items():
        known = table[f"{name}_true"].isin(task.classes)
        has_answer = table[f"{name}_p_{task.classes[0]}"].notna()
        answers = answers_of(table[known & has_answer], task)
        figures = scores(answers)
        reports.append(
            TaskReport(
                task=task,
                labelled=int(known.sum()),
                answered=len(answers.truth),
                right=int((answers.predicted == answers.truth).sum()),
                classes=class_scores(answers),
                mean_average_precision=float(np.asarray(figures["mean_average_precision"])),
            )
        )
    return reports


def counts_of(table: pd.DataFrame) -> dict[str, int]:
    """Return how many photos are in each state of STATES."""
    return {state: int((table["state"] == state).sum()) for state in STATES}


def report_table(report: TaskReport) -> Table:
    """Return a terminal table of one task's report."""
    title = f"{report.task.name}: {report.answered:,} of {report.labelled:,} photos answered"
    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for name in ("photos", "average precision (AP)", "precision", "recall"):
        table.add_column(name, justify="right")
    for label, row in report.classes.iterrows():
        figures = (row["average_precision"], row["precision"], row["recall"])
        table.add_row(str(label), f"{int(row['images']):,}", *map(_figure, figures))
    table.add_section()
    table.add_row("mean (mAP)", "", _figure(report.mean_average_precision), "", "")
    return table


def report_lines(report: TaskReport, counts: Mapping[str, int]) -> list[str]:
    """Return what stands below the table: accuracy by its name, and what was not answered."""
    lines = [
        f"{report.right:,} of {report.answered:,} answered rightly: accuracy "
        f"{_figure(report.accuracy)} (what the seven-layer CNN's report calls AP)"
    ]
    if report.answered < report.labelled:
        lines.append(
            f"counting the {report.labelled - report.answered:,} photos without an answer as "
            f"wrong: accuracy {_figure(report.accuracy_of_all)}"
        )
    parts = [f"{count:,} {STATES[state]}" for state, count in counts.items() if count]
    return [*lines, f"photos: {', '.join(parts)}"]


def plain_report(reports: list[TaskReport], counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the reports as numbers, texts and dictionaries; NaN becomes None."""
    return {
        "photos": dict(counts),
        "tasks": {
            report.task.name: {
                "labelled": report.labelled,
                "answered": report.answered,
                "right": report.right,
                "accuracy": _number(report.accuracy),
                "accuracy_of_all": _number(report.accuracy_of_all),
                "mean_average_precision": _number(report.mean_average_precision),
                "average_precision": {
                    str(label): _number(value)
                    for label, value in report.classes["average_precision"].items()
                },
            }
            for report in reports
        },
    }


def _figure(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
