"""Accuracy against cost: which runs are worth their price."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

COSTS = ("parameters", "multiply_adds", "latency_ms")


def pareto_front(costs: ArrayLike, gains: ArrayLike) -> NDArray[np.bool_]:
    """Return which of N points no other beats, bool [N].

    A point beats another if it is nowhere worse and somewhere better; equal points do not beat each
    other, so ties stay. A point with a NaN is never on the front and beats none.

    Args:
        costs: [N, K], or [N] for one, lower is better.
        gains: [N], higher is better.
    """
    gain = np.asarray(gains, dtype=np.float64)
    values = np.column_stack([np.asarray(costs, dtype=np.float64), -gain])
    nowhere_worse = np.all(values[:, None] <= values[None], axis=2)  # NaN compares as false
    somewhere_better = np.any(values[:, None] < values[None], axis=2)
    beaten = np.any(nowhere_worse & somewhere_better, axis=0)
    front: NDArray[np.bool_] = np.logical_not(beaten | np.isnan(values).any(axis=1))
    return front


def cost_table(runs: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return accuracy beside cost, one row for each run and task.

    Columns: name, task, accuracy, the COSTS, and for each of these ``<cost>_front``: whether the
    run is on the front of this accuracy and this cost among the runs that answer the same task. A
    mean over tasks is not taken: runs may answer different ones. A cost that is not known is NaN.

    Args:
        runs: records with ``name``, ``accuracy`` (task name to accuracy, None where there is none)
            and ``cost`` (cost name to number, as in a run's results; may be None).
    """
    rows = [
        {
            "name": run["name"],
            "task": task,
            "accuracy": accuracy,
            **{cost: (run.get("cost") or {}).get(cost) for cost in COSTS},
        }
        for run in runs
        for task, accuracy in run["accuracy"].items()
    ]
    table = pd.DataFrame(rows, columns=["name", "task", "accuracy", *COSTS])
    table = table.astype({"accuracy": float, **dict.fromkeys(COSTS, float)})
    for cost in COSTS:
        front = np.zeros(len(table), dtype=bool)
        for positions in table.groupby("task").indices.values():
            part = table.iloc[positions]
            front[positions] = pareto_front(part[[cost]].to_numpy(), part["accuracy"].to_numpy())
        table[f"{cost}_front"] = front
    return table
