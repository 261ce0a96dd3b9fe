"""Temperature, conformal sets, reliability and coverage against worked figures."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve

from facialnet.evaluation.answers import Answers
from facialnet.evaluation.calibration import (
    fit_calibration,
    fit_temperature,
    prediction_sets,
    reliability,
    risk_coverage,
    tempered,
)
from facialnet.evaluation.scores import scores
from facialnet.labels import Task

AGE = Task("age", "age_group", tuple("abcdef"), ordinal=True)
GENDER = Task("gender", "gender", ("male", "female"))


def drawn(task, images, *, sharpness=1.0, seed=0):
    """Answers whose truth is drawn from the probabilities, then sharpened by a factor."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (images, len(task.classes)))
    draws = rng.random((images, 1))
    truth = (softmax(logits, 1).cumsum(1) < draws).sum(1).clip(max=len(task.classes) - 1)
    p = softmax(logits * sharpness, 1)
    return Answers(task, truth.astype(np.int64), p, np.arange(images) // 4, "people")


def nobody(task):
    return Answers(
        task,
        np.zeros(0, np.int64),
        np.zeros((0, len(task.classes))),
        np.zeros(0, np.int64),
        "images",
    )


def test_tempered_divides_the_logits_and_can_be_undone():
    logits = np.random.default_rng(0).normal(0, 3, (50, 6))
    p = softmax(logits, 1)
    cooled = tempered(p, 2.5)
    assert cooled == pytest.approx(softmax(logits / 2.5, 1))
    assert tempered(cooled, 1 / 2.5) == pytest.approx(p)
    assert tempered(p.astype(np.float32), 2.5).dtype == np.float64
    assert tempered(np.array([[1.0, 0.0]]), 1.5).sum() == pytest.approx(1)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_known_sharpening(sharpness):
    answers = drawn(AGE, 8000, sharpness=sharpness)
    assert fit_temperature(answers) == pytest.approx(sharpness, rel=0.06)


def test_the_temperature_has_the_least_loss_of_a_grid():
    answers = drawn(GENDER, 300, sharpness=2.0)
    rows = np.arange(300)

    def loss(temperature):
        return -np.log(tempered(answers.probabilities, temperature)[rows, answers.truth]).mean()

    best = loss(fit_temperature(answers))
    assert all(best <= loss(temperature) + 1e-9 for temperature in np.geomspace(0.05, 20, 400))


def test_temperature_at_the_edges():
    assert fit_temperature(nobody(GENDER)) == 1.0
    p = np.array([[0.9, 0.1]] * 5)
    right = Answers(GENDER, np.zeros(5, np.int64), p, np.arange(5), "images")
    wrong = Answers(GENDER, np.ones(5, np.int64), p, np.arange(5), "images")
    assert 0.05 <= fit_temperature(right) < 0.1  # the sharper, the better
    assert 19 < fit_temperature(wrong) <= 20


def test_calibration_lowers_the_errors_of_overconfident_answers_and_is_plain():
    answers = drawn(AGE, 2000, sharpness=3.0)
    found = fit_calibration(answers)
    assert json.loads(json.dumps(found)) == found
    assert (found["images"], found["people"]) == (2000, 500)
    p = tempered(answers.probabilities, found["temperature"])
    after = scores(Answers(AGE, answers.truth, p, answers.people, "people"))
    before = scores(answers)
    assert after["nll"] < before["nll"]
    assert after["ece"] < 0.3 * before["ece"]


def test_ordinal_sets_grow_towards_the_more_probable_neighbour():
    p = np.array([[0.10, 0.30, 0.15, 0.40, 0.05, 0.0]])  # d; then c, b, a; then e, f

    def held(threshold):
        found = prediction_sets(p, threshold, ordinal=True)[0]
        return "".join(np.array(AGE.classes)[found])

    assert held(0.0) == "d"
    assert held(0.39) == "d"
    assert held(0.41) == "cd"
    assert held(0.56) == "bcd"
    assert held(0.86) == "abcd"
    assert held(0.96) == "abcde"
    assert held(1.0) == "abcdef"


def test_other_sets_take_the_most_probable_of_the_rest():
    p = np.array([[0.10, 0.30, 0.15, 0.40, 0.05, 0.0]])
    assert prediction_sets(p, 0.41, ordinal=False)[0].nonzero()[0].tolist() == [1, 3]
    assert prediction_sets(p, 0.71, ordinal=False)[0].nonzero()[0].tolist() == [1, 2, 3]
    assert prediction_sets(p, 1.0, ordinal=False).all()
    assert prediction_sets(np.zeros((0, 6)), 0.5, ordinal=False).shape == (0, 6)
    assert prediction_sets(np.zeros((0, 6)), 0.5, ordinal=True).shape == (0, 6)


def test_ordinal_sets_are_ranges_that_hold_the_answer_and_nested():
    answers = drawn(AGE, 500)
    smaller = np.zeros((500, 6), bool)
    for threshold in (0.0, 0.3, 0.6, 0.9, 1.0):
        sets = prediction_sets(answers.probabilities, threshold, ordinal=True)
        assert sets[np.arange(500), answers.predicted].all()
        starts = np.diff(sets.astype(int), axis=1, prepend=0) == 1
        assert (starts.sum(1) == 1).all()
        assert (smaller <= sets).all()
        smaller = sets
    assert smaller.all()


@pytest.mark.parametrize("task", [AGE, GENDER])
def test_conformal_sets_cover_what_they_promise_on_independent_images(task):
    held = []
    for seed in range(40):
        fitted = fit_calibration(drawn(task, 200, sharpness=2.0, seed=seed))
        test = drawn(task, 1000, sharpness=2.0, seed=1000 + seed)
        p = tempered(test.probabilities, fitted["temperature"])
        sets = prediction_sets(p, fitted["conformal"]["0.9"], ordinal=task.ordinal)
        held.append(sets[np.arange(1000), test.truth].mean())
    assert 0.89 < np.mean(held) < 0.925  # split conformal promises 0.9 to 0.9 + 1 / 201


@pytest.mark.parametrize(("images", "whole"), [(0, True), (8, True), (9, False)])
def test_too_few_images_for_the_level_give_all_classes(images, whole):
    answers = drawn(AGE, images) if images else nobody(AGE)
    threshold = fit_calibration(answers)["conformal"]["0.9"]
    # ceil(10 * 0.9) = 9 is the last of nine images; of eight there is no ninth
    assert (threshold == 1.0) == whole


def test_reliability_is_sklearns_curve():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 400)
    right = rng.random(400) < confidence
    p = np.stack([confidence, 1 - confidence], 1)
    answers = Answers(GENDER, (~right).astype(np.int64), p, np.arange(400), "images")
    table = reliability(answers, bins=10)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    filled = table[table["images"] > 0]
    assert filled["accuracy"].to_numpy() == pytest.approx(accuracy)
    assert filled["confidence"].to_numpy() == pytest.approx(mean)
    assert table["images"].sum() == 400
    assert table[table["images"] == 0]["accuracy"].isna().all()
    assert (table["low"].iloc[0], table["high"].iloc[-1]) == (0, 1)


def test_reliability_of_the_default_bins_gives_the_calibration_error():
    answers = drawn(AGE, 700, sharpness=2.0)
    table = reliability(answers)
    gap = (table["images"] * (table["confidence"] - table["accuracy"]).abs()).sum() / 700
    assert gap == pytest.approx(scores(answers)["ece"])


def test_risk_and_coverage_by_hand():
    # confidence 0.9 right, 0.8 wrong, twice 0.7: one right, one wrong, in either order
    confidence = np.array([0.7, 0.9, 0.8, 0.7])
    p = np.stack([confidence, 1 - confidence], 1)
    for truth in ([0, 0, 1, 1], [1, 0, 1, 0]):
        answers = Answers(GENDER, np.array(truth), p, np.arange(4), "images")
        table, area = risk_coverage(answers)
        assert table["coverage"].tolist() == [0.25, 0.5, 1.0]
        assert table["accuracy"].tolist() == [1.0, 0.5, 0.5]
        assert table["threshold"].tolist() == [0.9, 0.8, 0.7]
        assert area == pytest.approx(0.25 * 0 + 0.25 * 0.5 + 0.5 * 0.5)


def test_area_is_the_mean_error_over_all_coverages():
    answers = drawn(AGE, 300)
    order = np.argsort(-answers.probabilities.max(1))
    wrong = (answers.predicted != answers.truth)[order]
    assert risk_coverage(answers)[1] == pytest.approx(np.mean(wrong.cumsum() / np.arange(1, 301)))


def test_nobody_has_no_curve():
    table, area = risk_coverage(nobody(AGE))
    assert table.empty
    assert np.isnan(area)
    assert reliability(nobody(AGE))["images"].sum() == 0
