"""Intervals against textbook ones, and at the edges."""

import time

import numpy as np
import pytest
from scipy import stats

from facialnet.evaluation.answers import Answers
from facialnet.evaluation.intervals import Interval, intervals, mean_interval
from facialnet.labels import Task

AGE = Task("age", "age_group", tuple("abcdefgh"), ordinal=True)
GENDER = Task("gender", "gender", ("male", "female"))


def answers_for(task, images, people, seed=0):
    """Answers whose people differ in how well they do and in how many images they have."""
    rng = np.random.default_rng(seed)
    numbers = np.concatenate(
        [np.arange(people), (people * rng.random(images - people) ** 3).astype(int)]
    )
    truth = rng.integers(0, len(task.classes), people)[numbers]
    logits = rng.normal(size=(images, len(task.classes)))
    logits[np.arange(images), truth] += rng.normal(1.5, 1, people)[numbers]
    p = np.exp(logits)
    return Answers(task, truth, p / p.sum(1, keepdims=True), numbers, "people")


def test_independent_images_get_wilsons_interval():
    # 2,000 images, each a person of its own: what every textbook says of a binomial share
    right = np.arange(2000) < 1700
    found = mean_interval(right, np.arange(2000), leave_outs=2000)
    book = stats.binomtest(1700, 2000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((book.low, book.high), abs=2e-4)
    in_groups = mean_interval(right, np.arange(2000), leave_outs=500)
    assert in_groups.low == pytest.approx(book.low, abs=3e-3)


def test_equal_people_get_students_interval():
    # shares near one half of 400 people with five images each: the t interval of the people's means
    rng = np.random.default_rng(0)
    right = rng.random((400, 5)) < rng.beta(2, 2, (400, 1))
    people = np.repeat(np.arange(400), 5)
    found = mean_interval(right.ravel(), people)
    low, high = stats.t.interval(0.95, 399, loc=right.mean(), scale=right.mean(1).std(ddof=1) / 20)
    assert found.value == pytest.approx(right.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)


def test_differences_may_be_negative_and_then_need_their_bounds():
    rng = np.random.default_rng(0)
    difference = rng.integers(-1, 2, 300)
    with pytest.raises(ValueError, match="bounds"):
        mean_interval(difference, np.arange(300))
    found = mean_interval(difference, np.arange(300), bounds=(-1, 1))
    low, high = stats.t.interval(
        0.95, 299, loc=difference.mean(), scale=difference.std(ddof=1) / np.sqrt(300)
    )
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-3)
    # three images of 3,000 won and none lost show nothing
    few = mean_interval(np.arange(3000) < 3, np.arange(3000) // 10, bounds=(-1, 1))
    assert few.low < 0 < few.high
    same = mean_interval(np.zeros(50), np.arange(50), bounds=(-1, 1))
    assert same.value == 0
    assert (same.low, same.high) == pytest.approx((-3 / 50, 3 / 50))  # rule of three


@pytest.mark.parametrize("per_person", [False, True])
@pytest.mark.parametrize("leave_outs", [1000, 20])
def test_the_mean_and_the_scores_go_the_same_way(per_person, leave_outs):
    answers = answers_for(AGE, 600, 60)
    found = intervals(answers, per_person=per_person, leave_outs=leave_outs, seed=3)
    off = np.abs(answers.predicted - answers.truth)
    for name, values, most in (("accuracy", off == 0, 1), ("mae_groups", off, 7)):
        mean = mean_interval(
            values, answers.people, leave_outs, 3, per_person=per_person, bounds=(0, most)
        )
        assert (found[name].value, found[name].low, found[name].high) == pytest.approx(
            (mean.value, mean.low, mean.high)
        )


@pytest.mark.parametrize("people", [2, 3, 8, 60])
def test_intervals_stay_in_range_and_hold_the_value(people):
    ranges = {"nll": (0, np.inf), "mae_groups": (0, 7), "quadratic_kappa": (-1, 1)}
    for seed in range(5):
        for name, found in intervals(answers_for(AGE, 100, people, seed)).items():
            least, most = ranges.get(name, (0, 1))
            assert least <= found.low <= found.value <= found.high <= most
            assert found.low < found.high


def test_more_people_give_a_narrower_interval_than_more_images():
    few = intervals(answers_for(GENDER, 2000, 20))
    many = intervals(answers_for(GENDER, 2000, 1000))
    for name in ("accuracy", "macro_f1", "mean_average_precision", "nll"):
        assert many[name].high - many[name].low < 0.6 * (few[name].high - few[name].low)


def test_spread_of_a_smooth_score_is_that_of_a_bootstrap_by_people():
    # with many people of like size, the ends lie where scipy's bootstrap has them
    answers = answers_for(GENDER, 900, 300)
    by_person = [np.flatnonzero(answers.people == person) for person in range(300)]

    def nll(chosen):
        rows = np.concatenate([by_person[person] for person in chosen.astype(int)])
        return -np.log(answers.probabilities[rows, answers.truth[rows]]).mean()

    book = stats.bootstrap(
        (np.arange(300),), nll, vectorized=False, n_resamples=800, rng=0, method="percentile"
    ).confidence_interval
    found = intervals(answers)["nll"]
    assert found.high - found.low == pytest.approx(book.high - book.low, rel=0.25)
    assert found.low == pytest.approx(book.low, rel=0.06)


def test_a_calibrated_network_may_have_no_calibration_error():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(50):
        p = rng.uniform(0.5, 1, 600)
        truth = (rng.random(600) > p).astype(np.int64)
        calibrated = Answers(GENDER, truth, np.stack([p, 1 - p], 1), np.arange(600) // 2, "people")
        held += intervals(calibrated)["ece"].low == 0
    assert held >= 47
    always_wrong = Answers(GENDER, 1 - truth, calibrated.probabilities, calibrated.people, "people")
    assert intervals(always_wrong)["ece"].low > 0.3


def test_one_person_has_no_interval():
    answers = answers_for(GENDER, 30, 1)
    for found in intervals(answers).values():
        assert np.isfinite(found.value)
        assert np.isnan([found.low, found.high]).all()
    alone = mean_interval(np.ones(5), np.zeros(5, np.int64))
    assert alone.plain() == {"value": 1.0, "low": None, "high": None}


def test_nobody_has_no_figure():
    nobody = Answers(
        GENDER, np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0, np.int64), "images"
    )
    assert all(np.isnan(found.value) for found in intervals(nobody).values())
    assert np.isnan(mean_interval([], np.zeros(0, np.int64)).value)


@pytest.mark.parametrize("people", [3, 4, 6, 8, 9, 21])
def test_all_right_says_something_however_uneven_the_people_are(people):
    sizes = np.random.default_rng(people).integers(1, 15, people)
    cluster = np.repeat(np.arange(people), sizes)
    found = mean_interval(np.ones(len(cluster)), cluster)
    worth = sizes.sum() ** 2 / (sizes**2).sum()
    width = stats.t.ppf(0.975, people - 1)
    assert found.high == 1
    assert found.low == pytest.approx(worth / (worth + width**2))


def test_all_right_is_not_certain():
    # of 20 people with 10 images each, no more is known than of 20 images
    found = mean_interval(np.ones(200), np.repeat(np.arange(20), 10))
    t = stats.t.ppf(0.975, 19)
    assert found.value == found.high == 1
    assert found.low == pytest.approx(20 / (20 + t**2))
    wrong = mean_interval(np.zeros(200), np.repeat(np.arange(20), 10))
    assert wrong.high == pytest.approx(1 - found.low)


def test_groups_follow_from_the_seed():
    answers = answers_for(GENDER, 500, 100)
    assert intervals(answers, leave_outs=30, seed=1) == intervals(answers, leave_outs=30, seed=1)
    assert intervals(answers, leave_outs=30, seed=1) != intervals(answers, leave_outs=30, seed=2)
    # with a sample for each person nothing is left to chance
    assert intervals(answers, seed=1) == intervals(answers, seed=2)


def test_a_class_that_only_one_person_has_is_no_error():
    answers = answers_for(GENDER, 100, 20)
    truth = (answers.people == 0).astype(np.int64)
    lonely = Answers(GENDER, truth, answers.probabilities, answers.people, "people")
    found = intervals(lonely)
    assert isinstance(found["balanced_accuracy"], Interval)
    assert found["balanced_accuracy"].low < found["balanced_accuracy"].high


@pytest.mark.slow
def test_a_fold_of_two_tasks_takes_at_most_three_seconds():
    started = time.process_time()
    for task in (GENDER, AGE):
        for per_person in (False, True):
            intervals(answers_for(task, 4000, 450), per_person=per_person)
    assert time.process_time() - started < 3
