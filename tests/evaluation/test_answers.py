"""Answers out of a table of predictions, and which images belong together."""

import numpy as np
import pandas as pd
import pytest

from facialnet.errors import UserError
from facialnet.evaluation.answers import answers_of, clusters
from facialnet.labels import Task

GENDER = Task("gender", "gender", ("male", "female"))


def table(**columns):
    rows = len(next(iter(columns.values())))
    return pd.DataFrame(
        {
            "source": ["a"] * rows,
            "subject": [None] * rows,
            "photo": [None] * rows,
            "gender_true": ["male"] * rows,
            "gender_p_male": np.full(rows, 0.25, np.float32),
            "gender_p_female": np.full(rows, 0.75, np.float32),
        }
        | columns
    )


def test_rows_without_a_label_are_left_out():
    answers = answers_of(table(gender_true=["female", None, "male", "unsure"]), GENDER)
    assert answers.truth.tolist() == [1, 0]
    assert answers.truth.dtype == np.int64
    assert answers.probabilities.tolist() == [[0.25, 0.75]] * 2
    assert answers.probabilities.dtype == np.float64
    assert answers.predicted.tolist() == [1, 1]
    assert answers.people.tolist() == [0, 1]


def test_rounded_probabilities_sum_to_one_again():
    thirds = Task("x", "x", ("a", "b", "c"))
    rows = pd.DataFrame({"x_true": ["a"] * 2})
    for name in thirds.classes:
        rows[f"x_p_{name}"] = np.float32(1 / 3)
    assert answers_of(rows, thirds).probabilities.sum(1) == pytest.approx(1, abs=1e-15)


def test_a_subject_is_one_person_within_its_source_only():
    answers = answers_of(table(source=["a", "a", "b", "b"], subject=["1", "1", "1", "2"]), GENDER)
    assert answers.people.tolist() == [0, 0, 1, 2]
    assert answers.clustered_on == "people"


def test_images_without_a_subject_go_by_their_photo_or_alone():
    rows = table(
        source=["a", "a", "a", "b", "a", "a"],
        subject=["p", None, None, None, None, None],
        photo=["p", "p", "p", "p", None, None],
    )
    numbers, clustered_on = clusters(rows)
    assert clustered_on == "people"
    # the known person's photo has the same name and still is no cluster with the unknown ones
    assert numbers.tolist() == [0, 1, 1, 2, 3, 4]
    assert clusters(rows[1:])[1] == "photos"
    assert clusters(rows[3:])[1] == "images"
    assert clusters(rows[3:])[0].tolist() == [0, 1, 2]


def test_what_is_clustered_on_is_asked_of_the_labelled_rows():
    rows = table(subject=["p", None, None], gender_true=[None, "male", "male"])
    assert answers_of(rows, GENDER).clustered_on == "images"


def test_nobody_and_a_table_without_people():
    nobody = answers_of(table(gender_true=[None, None]), GENDER)
    assert nobody.truth.shape == (0,)
    assert nobody.probabilities.shape == (0, 2)
    assert nobody.predicted.shape == (0,)
    assert nobody.clustered_on == "images"
    bare = table(photo=["x", "x"]).drop(columns=["source", "subject", "photo"])
    assert answers_of(bare, GENDER).people.tolist() == [0, 1]


def test_a_missing_column_is_named():
    with pytest.raises(UserError, match="gender_p_female"):
        answers_of(table(subject=["1"]).drop(columns="gender_p_female"), GENDER)
    with pytest.raises(UserError, match="age_true"):
        answers_of(table(subject=["1"]), Task("age", "age_group", ("0-2",)))


def test_look_alikes_belong_together_where_people_are_not_known():
    table = pd.DataFrame(
        {
            "source": "a",
            "subject": [None, None, None, "1"],
            "photo": ["p", "q", "r", "p"],
            "lookalike": ["x", "x", None, "x"],
        }
    )
    numbers, on = clusters(table)
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3  # the person stands apart from the copies of unknown people
    assert on == "people"
