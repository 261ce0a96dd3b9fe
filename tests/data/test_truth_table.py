import csv

import numpy as np
import pandas as pd
import pytest

from facialnet.data.manifest import as_manifest
from facialnet.data.truth_table import COLUMNS, write_truth_table


@pytest.fixture
def manifest():
    return as_manifest(
        pd.DataFrame(
            {
                "path": ["a.jpg", "ordner/Jürgen 1.jpg", "c.jpg"],
                "part": ["train", None, "val"],
                "gender": ["male", None, "female"],
                "age_group": [None, "60+", "0-2"],
                "age_years": [None, 61, 0],
            }
        )
    )


def test_both_files_say_what_the_manifest_says(manifest, tmp_path):
    write_truth_table(manifest, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"truth_table.txt", "truth_table.npy"}
    with (tmp_path / "truth_table.txt").open(encoding="utf-8", newline="") as file:
        header, *lines = csv.reader(file, delimiter="\t")
    assert header == ["path", "part", "gender", "age_group", "race", "age_years"] == [*COLUMNS]
    assert lines == [
        ["a.jpg", "train", "male", "", "", ""],
        ["ordner/Jürgen 1.jpg", "", "", "60+", "", "61"],
        ["c.jpg", "val", "female", "0-2", "", "0"],
    ]
    array = np.load(tmp_path / "truth_table.npy", allow_pickle=False)
    assert array.dtype.names == COLUMNS
    assert [list(row) for row in array.tolist()] == lines


def test_earlier_files_are_replaced(manifest, tmp_path):
    write_truth_table(manifest, tmp_path)
    write_truth_table(manifest[:1], tmp_path)
    assert len((tmp_path / "truth_table.txt").read_text().splitlines()) == 2
    assert np.load(tmp_path / "truth_table.npy").shape == (1,)


def test_no_rows(manifest, tmp_path):
    write_truth_table(manifest[:0], tmp_path)
    assert np.load(tmp_path / "truth_table.npy").shape == (0,)
