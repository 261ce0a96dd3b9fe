"""Pictures that occur more than once, and whether their labels agree."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LABELS = ("gender", "age_group", "age_years", "race")
COLUMNS = ("row", "group", "kind", "path", "content", *LABELS, "conflict")


def duplicate_groups(manifest: pd.DataFrame, numbers: NDArray[np.int64]) -> pd.DataFrame:
    """Return the pictures that share a group of copies with another one.

    Columns: ``row`` (position in the manifest), ``group`` (from 1, conflicting groups first),
    ``kind`` (``identical`` where all of the group share their bytes, else ``look-alike``),
    ``path``, ``content``, the labels, and ``conflict``: the labels on which the group disagrees, by
    name, separated by spaces. Labels that are missing conflict with nothing.

    Args:
        manifest: N rows.
        numbers: int64 [N], from 0: the rows that share their bytes or look alike share a number.
    """
    table = manifest.reset_index(drop=True).reindex(columns=["path", "content", *LABELS])
    table["row"], table["number"] = np.arange(len(table)), numbers
    sizes = np.bincount(numbers, minlength=1)
    table = table[sizes[numbers] > 1]
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    groups = table.groupby("number")
    single = (groups["content"].nunique() == 1) & (groups["content"].count() == groups.size())
    table["kind"] = np.where(table["number"].map(single), "identical", "look-alike")
    differs = groups[list(LABELS)].nunique() > 1
    conflicts = differs.apply(lambda row: " ".join(row.index[row]), axis=1)
    table["conflict"] = table["number"].map(conflicts)
    count = table["number"].map(differs.sum(axis=1))
    order = np.lexsort((table["row"], table["number"], -count.to_numpy()))
    table = table.iloc[order].reset_index(drop=True)
    table["group"] = pd.factorize(table["number"])[0] + 1
    return table[list(COLUMNS)]
