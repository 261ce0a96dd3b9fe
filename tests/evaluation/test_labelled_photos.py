import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score, average_precision_score

from facialnet.evaluation.labelled_photos import (
    counts_of,
    plain_report,
    report_lines,
    report_on,
    report_table,
)
from facialnet.labels import GENDERS, Task

TASK = Task("gender", "gender", GENDERS)


def photos(count=60, unanswered=10, unlabelled=5, seed=0):
    chance = np.random.default_rng(seed)
    female = chance.random(count)
    table = pd.DataFrame(
        {
            "path": [f"{n}.jpg" for n in range(count)],
            "state": "face",
            "gender_true": np.array(GENDERS)[(female + chance.normal(0, 0.4, count) > 0.5) * 1],
            "gender_p_male": 1 - female,
            "gender_p_female": female,
        }
    )
    table.loc[: unanswered - 1, ["gender_p_male", "gender_p_female"]] = np.nan
    table.loc[: unanswered - 1, "state"] = "no face"
    table.loc[count - unlabelled :, "gender_true"] = pd.NA
    return table


def test_figures_are_scikit_learns():
    table = photos()
    [report] = report_on(table, {"gender": TASK})
    used = table.iloc[10:-5]
    truth = used["gender_true"].to_numpy(str)
    answers = np.where(used["gender_p_female"] > 0.5, "female", "male")
    assert (report.labelled, report.answered) == (55, 45)
    assert report.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert report.accuracy_of_all == pytest.approx(accuracy_score(truth, answers) * 45 / 55)
    precisions = [average_precision_score(truth == g, used[f"gender_p_{g}"]) for g in GENDERS]
    assert list(report.classes["average_precision"]) == pytest.approx(precisions)
    assert report.mean_average_precision == pytest.approx(np.mean(precisions))


def test_both_figures_are_printed_by_their_names():
    table = photos()
    [report] = report_on(table, {"gender": TASK})
    text = "\n".join(report_lines(report, counts_of(table)))
    assert f"{report.right} of 45 answered rightly: accuracy {report.accuracy:.3f}" in text
    assert "counting the 10 photos without an answer as wrong" in text
    assert "photos: 50 with a face found, 10 without a face found, not answered" in text
    console = Console(width=120, record=True)
    console.print(report_table(report))
    shown = console.export_text()
    assert "mean (mAP)" in shown
    assert f"{report.mean_average_precision:.3f}" in shown


def test_nothing_answered_has_no_figures():
    table = photos(unanswered=60)
    [report] = report_on(table, {"gender": TASK})
    plain = plain_report([report], counts_of(table))["tasks"]["gender"]
    assert (plain["answered"], plain["accuracy"], plain["accuracy_of_all"]) == (0, None, 0.0)
    assert plain["mean_average_precision"] is None
