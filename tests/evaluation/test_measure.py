"""The content of metrics.json from a small table of predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from facialnet.errors import UserError
from facialnet.evaluation.answers import answers_of
from facialnet.evaluation.calibration import fit_calibration, tempered
from facialnet.evaluation.measure import measure
from facialnet.evaluation.scores import scores
from facialnet.labels import AGE_GROUPS, GENDERS, Task

TASKS = {
    "gender": Task("gender", "gender", GENDERS),
    "age": Task("age", "age_group", AGE_GROUPS, ordinal=True),
}


def predictions(images=240, people=40, seed=0):
    """A table as evaluation writes it, uncalibrated; every tenth image has no age."""
    rng = np.random.default_rng(seed)
    subject = np.concatenate([np.arange(people), rng.integers(0, people, images - people)])
    table = pd.DataFrame(
        {
            "row": np.arange(images),
            "path": [f"{number}.jpg" for number in range(images)],
            "source": "drawn",
            "subject": [f"p{number}" for number in subject],
            "album": None,
            "photo": None,
            "fold": 0,
            "age_years": None,
            "race": None,
        }
    )
    for name, task in TASKS.items():
        truth = rng.integers(0, len(task.classes), people)[subject]
        logits = rng.normal(size=(images, len(task.classes)))
        logits[np.arange(images), truth] += 2
        p = np.exp(2 * logits)
        p /= p.sum(1, keepdims=True)
        labels = pd.Series(np.array(task.classes)[truth])
        if name == "age":
            labels[::10] = None
        table[task.column] = labels
        table[f"{name}_true"] = labels
        table[f"{name}_predicted"] = np.array(task.classes)[p.argmax(1)]
        for number, label in enumerate(task.classes):
            table[f"{name}_p_{label}"] = p[:, number].astype(np.float32)
    return table


def calibrated(table, name):
    """The table with one task's probabilities calibrated, and the calibration."""
    task, table = TASKS[name], table.copy()
    fitted = fit_calibration(answers_of(table, task))
    columns = [f"{name}_p_{label}" for label in task.classes]
    p = tempered(table[columns].to_numpy(), fitted["temperature"])
    table[columns] = p.astype(np.float32)
    return table, fitted


@pytest.fixture(scope="module")
def raw():
    return predictions()


@pytest.fixture(scope="module")
def measured(raw):
    table, fitted = calibrated(raw, "age")
    return measure(table, TASKS, {"age": fitted})


def test_it_is_plain_json(measured):
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured
    assert measured["images"] == 240
    assert set(measured) == {"images", "tasks", "subgroups"}
    assert set(measured["tasks"]) == {"gender", "age"}


def test_counts_and_scores_are_those_of_the_labelled_rows(raw, measured):
    age = measured["tasks"]["age"]
    labelled = raw[raw["age_true"].notna()]
    right = labelled["age_true"] == labelled["age_predicted"]
    assert (age["images"], age["people"], age["clustered_on"]) == (216, 40, "people")
    assert age["scores"]["accuracy"]["value"] == pytest.approx(right.mean())
    by_person = right.groupby(labelled["subject"]).mean().mean()
    assert age["per_person"]["accuracy"]["value"] == pytest.approx(by_person)
    assert age["scores"]["accuracy"]["low"] < right.mean() < age["scores"]["accuracy"]["high"]
    assert set(age["scores"]) - set(measured["tasks"]["gender"]["scores"]) == {
        "one_off",
        "mae_groups",
        "quadratic_kappa",
    }
    counts = pd.crosstab(labelled["age_true"], labelled["age_predicted"])
    counts = counts.reindex(index=AGE_GROUPS, columns=AGE_GROUPS, fill_value=0)
    assert age["confusion"] == counts.to_numpy().tolist()
    assert list(age["classes"]) == list(AGE_GROUPS)
    assert age["classes"]["0-2"]["images"] == (labelled["age_true"] == "0-2").sum()


def test_what_was_calibrated_is_shown_beside_what_was_not(raw, measured):
    before = scores(answers_of(raw, TASKS["age"]))
    age = measured["tasks"]["age"]
    assert age["calibration"]["temperature"] > 1  # the answers are too sure of themselves
    assert age["calibration"]["uncalibrated"] == pytest.approx(
        {"nll": before["nll"], "ece": before["ece"]}, rel=1e-4
    )
    assert age["scores"]["nll"]["value"] < before["nll"]
    gender = measured["tasks"]["gender"]
    assert gender["calibration"]["temperature"] is None
    assert gender["calibration"]["conformal"] == {}
    assert gender["calibration"]["uncalibrated"]["nll"] == gender["scores"]["nll"]["value"]


def test_curves_and_sets(measured):
    calibration = measured["tasks"]["age"]["calibration"]
    assert len(calibration["reliability"]) == 15
    assert sum(each["images"] for each in calibration["reliability"]) == 216
    points = calibration["risk_coverage"]["points"]
    assert len(points) == 20
    assert [each["coverage"] for each in points] == sorted(each["coverage"] for each in points)
    assert points[-1]["coverage"] == 1
    assert points[-1]["accuracy"] == pytest.approx(
        measured["tasks"]["age"]["scores"]["accuracy"]["value"]
    )
    sets = calibration["conformal"]["0.9"]
    assert sets["coverage"]["value"] == pytest.approx(0.9, abs=0.02)  # fitted on the same rows
    assert sets["coverage"]["low"] < 0.9 < sets["coverage"]["high"]
    assert 1 <= sets["mean_size"] < 8


def test_a_task_without_labels_has_no_figures_and_none_at_all_is_an_error(raw):
    without_age = raw.assign(age_true=None, age_group=None)
    found = measure(without_age, TASKS, {}, resamples=20)["tasks"]["age"]
    assert found["images"] == found["people"] == 0
    assert found["scores"]["accuracy"] == {"value": None, "low": None, "high": None}
    assert found["calibration"]["risk_coverage"] == {"area": None, "points": []}
    with pytest.raises(UserError, match="no tested image has a label for gender or age"):
        measure(without_age.assign(gender_true=None, gender=None), TASKS, {})


def test_one_person_has_figures_without_ends(raw):
    alone = raw[raw["subject"] == "p1"]
    found = measure(alone, {"gender": TASKS["gender"]}, {})["tasks"]["gender"]
    assert found["people"] == 1
    assert found["scores"]["accuracy"]["value"] is not None
    assert found["scores"]["accuracy"]["low"] is None


def test_subgroups_are_part_of_it(measured):
    assert set(measured["subgroups"]) == {"gender", "age"}
