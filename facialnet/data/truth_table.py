"""The labels of a data set as plain files: for programs that know nothing of manifests."""

from pathlib import Path

import numpy as np
import pandas as pd

from facialnet.data.manifest import LABELS

COLUMNS = ("path", "part", *LABELS, "age_years")
TEXT, ARRAY = "truth_table.txt", "truth_table.npy"


def write_truth_table(manifest: pd.DataFrame, folder: Path) -> None:
    """Write one row a picture as text and as an array (seven-layer CNN, manual, step 2).

    ``truth_table.txt`` is separated by tabs, with a header. ``truth_table.npy`` is a structured
    array with the same rows, a field of text for each of COLUMNS; ``np.load`` reads it as it is,
    without pickles. What is not known is empty in both.

    Args:
        manifest: the rows, one a picture.
        folder: where the two files go; they replace earlier ones.
    """
    texts = {name: manifest[name].astype("str").fillna("").to_list() for name in COLUMNS}
    kinds = [(name, np.array(values, np.str_).dtype) for name, values in texts.items()]
    rows = list(zip(*texts.values(), strict=True))
    array = np.array(rows, kinds)
    lines = ["\t".join(row) for row in (COLUMNS, *rows)]
    partial = folder / f"{TEXT}.partial"
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(folder / TEXT)
    partial = folder / f"{ARRAY}.partial"
    with partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    partial.replace(folder / ARRAY)
