"""The predictions table and the table in the terminal."""

import numpy as np
import pandas as pd
from rich.console import Console

from facialnet.data.manifest import as_manifest
from facialnet.evaluation.results import predictions_table, results_table, write_predictions
from facialnet.labels import AGE_GROUPS, Task

TASKS = {
    "gender": Task("gender", "gender", ("male", "female")),
    "age": Task("age", "age_group", AGE_GROUPS, ordinal=True),
}


def predictions():
    manifest = as_manifest(
        pd.DataFrame(
            {
                "path": ["a.jpg", "b.jpg", "c.jpg"],
                "subject": ["1", None, "2"],
                "gender": ["male", None, "female"],
                "age_group": ["0-2", "60+", None],
            }
        )
    )
    gender = np.array([[0.2, 0.8], [0.9, 0.1]], np.float64)
    age = np.full((2, 8), 0.125)
    age[0, 7] = 0.5
    return predictions_table(manifest, np.array([1, 2]), {"gender": gender, "age": age}, TASKS)


def test_one_row_for_each_tested_image_with_labels_and_probabilities(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_predictions(predictions(), path)
    table = pd.read_parquet(path)
    assert [each.name for each in tmp_path.iterdir()] == ["predictions.parquet"]
    assert table["row"].tolist() == [1, 2]
    assert table["path"].tolist() == ["b.jpg", "c.jpg"]
    assert table["gender_predicted"].tolist() == ["female", "male"]
    assert table["gender_true"].isna().tolist() == [True, False]
    assert table["age_predicted"].tolist() == ["60+", "0-2"]  # the first of equals
    assert table["age_p_60+"].tolist() == [0.5, 0.125]
    assert table["age_group"].tolist()[0] == "60+"
    assert {"source", "album", "photo", "fold", "age_years", "race"} <= set(table.columns)


def score(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def test_the_table_shows_intervals_and_leaves_out_what_does_not_apply():
    one = {
        "images": 1200,
        "people": 300,
        "clustered_on": "people",
        "scores": {"accuracy": score(0.87, 0.851, 0.888), "nll": score(None)},
        "per_person": {"accuracy": score(0.9)},
    }
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(results_table({"tasks": {"gender": one}}, {"gender": 0.559}, "Test"))
    text = console.export_text()
    assert "0.870 (0.851-0.888)" in text
    assert "0.559" in text
    assert "1,200" in text
    assert "0.900" in text
    assert "one-off" not in text
    assert "nan" not in text.lower()
