"""Scores against scikit-learn and torchmetrics, weighted and not."""

import tracemalloc

import numpy as np
import pytest
import torch
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_calibration_error

from facialnet.evaluation.answers import Answers
from facialnet.evaluation.scores import (
    calibration_noise,
    class_scores,
    confusion,
    image_weights,
    scores,
)
from facialnet.labels import Task

GROUPS = Task("age", "age_group", ("a", "b", "c", "d", "e"), ordinal=True)


def some_answers(*, images=300, people=25, classes=5, seed=0, ties=False, task=GROUPS):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, len(task.classes)))
    logits[np.arange(images), truth] += 1.2
    if ties:
        logits = np.round(logits)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    clusters = np.concatenate([np.arange(people), rng.integers(0, people, images - people)])
    return Answers(task, truth, probabilities, clusters, "people")


def by_sklearn(truth, p, weight):
    """Every score of five ordered classes, by the libraries."""
    answer = p.argmax(1)
    present = np.unique(truth[weight > 0])
    distance = np.abs(truth - answer)
    share = weight / weight.sum()
    return {
        "accuracy": metrics.accuracy_score(truth, answer, sample_weight=weight),
        "balanced_accuracy": metrics.recall_score(
            truth, answer, labels=present, average="macro", sample_weight=weight
        ),
        "macro_f1": metrics.f1_score(
            truth, answer, labels=present, average="macro", sample_weight=weight
        ),
        "mean_average_precision": np.mean(
            [
                metrics.average_precision_score(truth == c, p[:, c], sample_weight=weight)
                for c in present
            ]
        ),
        "nll": metrics.log_loss(truth, p, labels=range(5), sample_weight=weight),
        "one_off": share[distance <= 1].sum(),
        "mae_groups": share @ distance,
        "quadratic_kappa": metrics.cohen_kappa_score(
            truth, answer, labels=range(5), weights="quadratic", sample_weight=weight
        ),
    }


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [5, 4])  # with four, one class never occurs in the truth
def test_plain_scores_are_the_libraries(ties, classes):
    answers = some_answers(ties=ties, classes=classes)
    found = scores(answers)
    expected = by_sklearn(answers.truth, answers.probabilities, np.ones(300))
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert set(found) == {*expected, "ece"}
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_error_is_that_of_torchmetrics(seed):
    answers = some_answers(seed=seed, images=2000)
    expected = multiclass_calibration_error(
        torch.tensor(answers.probabilities),
        torch.tensor(answers.truth),
        num_classes=5,
        n_bins=15,
        norm="l1",
    )
    assert scores(answers)["ece"] == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("per_person", [False, True])
def test_weighted_scores_are_the_libraries_with_sample_weight(per_person, ties):
    answers = some_answers(ties=ties)
    rng = np.random.default_rng(1)
    weights = np.stack(
        [rng.multinomial(25, np.full(25, 1 / 25)).astype(float), rng.random(25), np.eye(25)[3]]
    )
    found = scores(answers, weights, per_person=per_person)
    images = np.bincount(answers.people)
    for number, weight in enumerate(weights):
        each = weight[answers.people] / (images[answers.people] if per_person else 1)
        expected = by_sklearn(answers.truth, answers.probabilities, each)
        assert {name: found[name][number] for name in expected} == pytest.approx(expected)


def test_a_cluster_drawn_twice_is_every_image_twice():
    answers = some_answers(people=6, images=60)
    times = np.array([2, 0, 1, 3, 1, 0])
    repeated = np.repeat(np.arange(60), times[answers.people])
    again = Answers(
        GROUPS,
        answers.truth[repeated],
        answers.probabilities[repeated],
        np.zeros(len(repeated), np.int64),
        "people",
    )
    found = scores(answers, times[None].astype(float))
    assert {name: value[0] for name, value in found.items()} == pytest.approx(scores(again))


def test_per_person_by_hand():
    # one person with three right answers, one with a single wrong one
    right, wrong = [0.8, 0.2], [0.3, 0.7]
    task = Task("gender", "gender", ("male", "female"))
    answers = Answers(
        task,
        np.zeros(4, np.int64),
        np.array([right] * 3 + [wrong]),
        np.array([0, 0, 0, 1]),
        "people",
    )
    assert scores(answers)["accuracy"] == pytest.approx(0.75)
    each = scores(answers, per_person=True)
    assert each["accuracy"] == pytest.approx(0.5)
    assert each["nll"] == pytest.approx((-np.log(0.8) - np.log(0.3)) / 2)
    # bins 12 (0.8) and 10 (0.7): half weight each, off by 0.2 and by 0.7
    assert each["ece"] == pytest.approx(0.5 * 0.2 + 0.5 * 0.7)
    assert "one_off" not in each
    assert image_weights(answers.people, per_person=True).tolist() == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3, 1]
    )


def test_certain_answers_share_the_last_bin():
    task = Task("gender", "gender", ("male", "female"))
    answers = Answers(
        task,
        np.array([0, 1]),
        np.array([[1.0, 0.0], [0.96, 0.04]]),
        np.array([0, 1]),
        "images",
    )
    assert scores(answers)["ece"] == pytest.approx(abs((1.0 + 0.96) / 2 - 0.5))


def test_a_wrong_answer_of_probability_zero_costs_what_sklearn_says():
    task = Task("gender", "gender", ("male", "female"))
    answers = Answers(task, np.array([1]), np.array([[1.0, 0.0]]), np.array([0]), "images")
    assert scores(answers)["nll"] == pytest.approx(
        metrics.log_loss([1], [[1.0, 0.0]], labels=[0, 1])
    )


def test_no_images_and_one_class_give_nan_not_an_error():
    nobody = Answers(
        GROUPS, np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros(0, np.int64), "images"
    )
    assert all(np.isnan(value) for value in scores(nobody).values())
    assert confusion(nobody).sum() == 0
    only = Answers(GROUPS, np.full(3, 2), np.eye(5)[[2, 2, 2]], np.zeros(3, np.int64), "people")
    found = scores(only)
    assert found["accuracy"] == found["macro_f1"] == found["mean_average_precision"] == 1
    assert np.isnan(found["quadratic_kappa"])


def test_class_scores_count_and_leave_the_unknown_open():
    answers = some_answers(classes=4)
    table = class_scores(answers)
    assert table.index.tolist() == list(GROUPS.classes)
    assert table["images"].tolist() == np.bincount(answers.truth, minlength=5).tolist()
    assert np.isnan(table.loc["e", ["recall", "average_precision"]].astype(float)).all()
    assert table["average_precision"].mean() == pytest.approx(
        scores(answers)["mean_average_precision"]
    )
    counts = confusion(answers)
    assert counts.sum() == 300
    assert counts[1, 1] / counts[1].sum() == pytest.approx(table.loc["b", "recall"])
    assert counts[1, 1] / counts[:, 1].sum() == pytest.approx(table.loc["b", "precision"])


@pytest.mark.slow
def test_a_thousand_weightings_of_20000_images_fit_into_300_mb():
    answers = some_answers(images=20_000, people=2_000)
    weights = np.random.default_rng(0).multinomial(2000, np.full(2000, 1 / 2000), 1000) * 1.0
    tracemalloc.start()
    scores(answers, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


def test_calibration_noise_is_the_error_that_calibrated_answers_have():
    task = Task("gender", "gender", ("male", "female"))
    rng = np.random.default_rng(0)
    measured, expected = [], []
    for _ in range(200):
        p = rng.uniform(0.5, 1, 400)
        truth = (rng.random(400) > p).astype(np.int64)
        answers = Answers(task, truth, np.stack([p, 1 - p], 1), np.arange(400), "images")
        measured.append(scores(answers)["ece"])
        expected.append(calibration_noise(answers))
    assert np.mean(expected) == pytest.approx(np.mean(measured), rel=0.05)
