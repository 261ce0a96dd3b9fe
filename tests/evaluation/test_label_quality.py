import numpy as np
import pandas as pd
import pytest

from facialnet.errors import UserError
from facialnet.evaluation.audit.label_quality import (
    codes_of,
    judge,
    label_quality,
    mean_predictions,
    rare_classes,
)
from facialnet.labels import AGE_GROUPS, GENDERS, Task

GENDER = Task("gender", "gender", GENDERS)
AGE = Task("age", "age_group", ("a", "b", "c", "d"), ordinal=True)


def test_quality_is_the_probability_of_the_given_class():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1]])
    found = label_quality(np.array([0, 1]), probabilities, ordinal=False)
    np.testing.assert_allclose(found, [0.9, 0.1])


def test_ordered_classes_forgive_neighbours():
    probabilities = np.array([[0.1, 0.8, 0.1, 0.0], [0.1, 0.0, 0.1, 0.8]])
    found = label_quality(np.array([0, 0]), probabilities, ordinal=True)
    np.testing.assert_allclose(found, [(0.1 + 0.9) / 2, (0.1 + 0.1) / 2])


def test_codes_are_minus_one_without_a_label():
    manifest = pd.DataFrame({"gender": ["female", None, "male", "robot"]})
    assert codes_of(manifest, GENDER).tolist() == [1, -1, 0, -1]


def test_rare_classes_have_fewer_than_five_groups():
    codes = np.array([0] * 5 + [1] * 9 + [2] * 4 + [-1])
    groups = np.array([*range(5), *[5] * 9, *range(6, 10), 10])
    assert rare_classes(codes, groups, AGE) == {"b": 9, "c": 4}
    assert rare_classes(codes, np.arange(19), AGE) == {"c": 4}


def sure(labels, classes, confidence=0.95):
    answers = np.full((len(labels), classes), (1 - confidence) / (classes - 1))
    answers[np.arange(len(labels)), labels] = confidence
    return answers


def test_planted_errors_come_first_and_are_issues():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    wrong = rng.choice(300, 12, replace=False)
    given = truth.copy()
    given[wrong] = 1 - given[wrong]
    found = judge(GENDER, given, sure(truth, 2), {})
    assert set(found.suspects["row"]) == set(wrong)
    assert found.suspects["issue"].all()
    assert found.suspects["rank"].tolist() == list(range(1, 13))
    np.testing.assert_allclose(found.suspects["probability"], 0.05)
    first = found.suspects.iloc[0]
    assert first["given"] == GENDERS[given[first["row"]]]
    assert first["likely"] == GENDERS[truth[first["row"]]]
    assert found.accuracy == pytest.approx(288 / 300)
    assert found.majority == pytest.approx(max(np.bincount(given)) / 300)


def test_far_off_ages_come_before_near_ones():
    truth = np.arange(80) % 8
    given = truth.copy()
    given[0], given[1] = 7, 2  # seven groups off, one group off
    answers = sure(truth, 8)
    answers[0] = sure([0], 8, 0.6)[0]  # self-confidence alone would put it behind
    found = judge(Task("age", "age_group", AGE_GROUPS, ordinal=True), given, answers, {})
    assert found.suspects["row"].tolist()[0] == 0
    both = label_quality(given[:2], answers[:2], ordinal=False)
    assert both[1] < both[0]


def test_rows_without_label_or_prediction_are_left_out_and_counted():
    codes = np.array([0, 1, -1, 0, 1, 2] * 4)
    answers = sure(np.maximum(codes, 0), 4)
    answers[0] = np.nan
    found = judge(AGE, codes, answers, {"c": 4})
    assert (found.judged, found.unanswered) == (15, 1)
    assert found.suspects.empty
    assert found.rare == {"c": 4}


def test_the_probability_of_a_rare_class_goes_to_the_others():
    answers = np.tile([0.1, 0.3, 0.6, 0.0], (10, 1))
    found = judge(AGE, np.array([0, 1] * 5), answers, {"c": 2})
    np.testing.assert_allclose(found.suspects["probability"], 0.25)
    assert set(found.suspects["likely"]) == {"b"}


@pytest.mark.parametrize("codes", [np.full(6, -1), np.zeros(6, np.int64)])
def test_nothing_to_judge_is_an_empty_result(codes):
    found = judge(GENDER, codes, np.full((6, 2), np.nan), {})
    assert found.judged == 0
    assert np.isnan(found.accuracy)
    assert found.suspects.empty


def test_one_class_alone_gives_no_issues():
    found = judge(GENDER, np.zeros(6, np.int64), np.tile([0.2, 0.8], (6, 1)), {})
    assert len(found.suspects) == 6
    assert not found.suspects["issue"].any()


PATHS = pd.Series(["x.jpg", "y.jpg", "z.jpg"])


def table(paths, male):
    return pd.DataFrame({"path": paths, "gender_p_male": male, "gender_p_female": 1 - male})


def test_predictions_of_one_picture_are_averaged():
    tables = [table(["y.jpg", "x.jpg"], np.array([0.2, 0.9])), table(["y.jpg"], np.array([0.6]))]
    found = mean_predictions(tables, PATHS, GENDER)
    np.testing.assert_allclose(found[:2], [[0.9, 0.1], [0.4, 0.6]])
    assert np.isnan(found[2]).all()


def test_predictions_of_other_pictures_are_refused():
    with pytest.raises(UserError, match=r"1 of 2 predictions .* such as w\.jpg"):
        mean_predictions([table(["x.jpg", "w.jpg"], np.array([0.2, 0.9]))], PATHS, GENDER)


def test_predictions_without_the_task_are_refused():
    with pytest.raises(UserError, match="gender_p_female is missing"):
        mean_predictions(
            [table(["x.jpg"], np.array([0.2])).drop(columns="gender_p_female")], PATHS, GENDER
        )
