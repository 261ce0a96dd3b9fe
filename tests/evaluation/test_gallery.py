"""Which faces a gallery shows."""

import pandas as pd

from facialnet.evaluation.gallery import choose_faces
from facialnet.labels import Task

TASK = Task("gender", "gender", ("male", "female"))


def table():
    male = [0.99, 0.9, 0.6, 0.51, 0.2, 0.05, 0.7, 0.95]
    return pd.DataFrame(
        {
            "row": range(10, 18),
            "subject": ["a", "a", "b", None, None, "c", "d", "e"],
            "gender_true": ["male", "female", "male", "female", "male", "male", None, "female"],
            "gender_predicted": ["male" if p > 0.5 else "female" for p in male],
            "gender_p_male": male,
            "gender_p_female": [1 - p for p in male],
        }
    )


def test_wrong_ones_come_by_certainty_and_uncertain_ones_by_doubt():
    chosen = choose_faces(table(), TASK, count=3)
    assert chosen["wrong"] == [5, 7, 1]
    assert chosen["uncertain"] == [3, 2, 4]
    assert set(chosen["right"]) == {0, 2}


def test_nobody_is_shown_twice_and_nobody_without_a_label():
    chosen = choose_faces(table(), TASK)
    subjects = table()["subject"]
    for rows in chosen.values():
        known = subjects.iloc[rows].dropna()
        assert known.is_unique
        assert 6 not in rows


def test_all_right_leaves_no_wrong_ones():
    right = table().assign(gender_true=lambda t: t["gender_predicted"])
    assert choose_faces(right, TASK)["wrong"] == []
