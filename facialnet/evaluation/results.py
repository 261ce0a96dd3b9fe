"""What a test leaves in figures: one row for each image, and the table that people read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from facialnet.labels import Task

_ABOUT = (
    "path",
    "source",
    "subject",
    "album",
    "photo",
    "lookalike",
    "fold",
    "gender",
    "age_group",
    "age_years",
    "race",
)
_SHOWN = {
    "accuracy": "accuracy (95 % interval)",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mean_average_precision": "mean average precision",
    "one_off": "one-off accuracy",
    "mae_groups": "mean group error",
    "quadratic_kappa": "quadratic-weighted kappa",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
}


def predictions_table(
    manifest: pd.DataFrame,
    rows: NDArray[np.int64],
    probabilities: Mapping[str, NDArray[np.floating[Any]]],
    tasks: Mapping[str, Task],
) -> pd.DataFrame:
    """Return one row for each tested image.

    Columns: ``row`` (position in the manifest), path, source, subject, album, photo, lookalike
    (where preparation looked for copies), fold and the labels of the manifest; for each task its
    true class, its predicted class and the probability of every class (``age_p_25-32``, float32).

    Args:
        manifest: of the store.
        rows: tested positions in it, [N].
        probabilities: task name to [N, classes].
        tasks: task name to task.
    """
    chosen = manifest.iloc[rows]
    about = [name for name in _ABOUT if name in chosen.columns]
    table = chosen[about].reset_index(drop=True)
    table.insert(0, "row", rows)
    for name, task in tasks.items():
        values = probabilities[name].astype(np.float32)
        table[f"{name}_true"] = chosen[task.column].to_numpy()
        table[f"{name}_predicted"] = np.array(task.classes)[values.argmax(1)]
        for number, label in enumerate(task.classes):
            table[f"{name}_p_{label}"] = values[:, number]
    return table


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write a predictions table as Parquet, whole or not at all."""
    partial = path.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def results_table(
    measured: Mapping[str, Any], majority: Mapping[str, float | None], title: str
) -> Table:
    """Return a terminal table with a column for each task that has labels.

    Args:
        measured: what ``measure`` returned.
        majority: task name to the accuracy of always answering the class that is most frequent in
            training.
        title: above the table.
    """
    tasks = measured["tasks"]
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in tasks:
        table.add_column(name)
    table.add_row("images", *(f"{task['images']:,}" for task in tasks.values()))
    if any(task["clustered_on"] == "people" for task in tasks.values()):
        table.add_row("people", *(f"{task['people']:,}" for task in tasks.values()))
    for score, label in _SHOWN.items():
        if any(score in task["scores"] for task in tasks.values()):
            cells = [with_interval(task["scores"].get(score)) for task in tasks.values()]
            table.add_row(label, *cells)
        if score == "accuracy":
            table.add_row("  of the majority class", *(_number(majority[name]) for name in tasks))
            if any(task["clustered_on"] == "people" for task in tasks.values()):
                persons = [task["per_person"]["accuracy"] for task in tasks.values()]
                table.add_row("  each person counting once", *map(with_interval, persons))
    return table


def with_interval(score: Mapping[str, float | None] | None) -> str:
    """Write a score with its 95 % interval, as in ``0.870 (0.851-0.888)``."""
    if score is None or score["value"] is None:
        return ""
    if score["low"] is None or score["high"] is None:
        return f"{score['value']:.3f}"
    return f"{score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
