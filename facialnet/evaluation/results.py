"""Files of a run's results: one row an image, and the table that people read."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from facialnet.labels import Task


def write_predictions(
    path: Path,
    manifest: pd.DataFrame,
    rows: NDArray[np.int64],
    probabilities: Mapping[str, NDArray[np.float32]],
    tasks: Mapping[str, Task],
) -> None:
    """Write one row for each tested image as Parquet.

    Columns: path, source, subject, album, photo; for each task its true class, its predicted class
    and the probability of every class (``age_p_25-32``).

    Args:
        path: the file.
        manifest: of the store.
        rows: tested positions in it, [N].
        probabilities: task name to float32 [N, classes].
        tasks: task name to task.
    """
    chosen = manifest.iloc[rows]
    table = chosen[["path", "source", "subject", "album", "photo"]].reset_index(drop=True)
    for name, task in tasks.items():
        values = probabilities[name]
        table[f"{name}_true"] = chosen[task.column].to_numpy()
        table[f"{name}_predicted"] = np.array(task.classes)[values.argmax(1)]
        for number, label in enumerate(task.classes):
            table[f"{name}_p_{label}"] = values[:, number]
    partial = path.with_suffix(".partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def results_table(
    metrics: Mapping[str, float], tasks: Mapping[str, Task], title: str, stage: str = "test"
) -> Table:
    """Return a terminal table with a row for each task.

    Beside the scores stands ``majority``: the accuracy of always answering the class that is most
    frequent in training.
    """
    scores: Sequence[tuple[str, str]] = (
        ("accuracy", "accuracy"),
        ("majority", "majority class"),
        ("one_off", "one-off"),
        ("mae_groups", "mean group error"),
        ("loss", "loss"),
    )
    table = Table(title=title, title_justify="left")
    table.add_column("task")
    for _, label in scores:
        table.add_column(label, justify="right")
    for name in tasks:
        values = [metrics.get(f"{stage}/{name}/{score}") for score, _ in scores]
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in values))
    return table
