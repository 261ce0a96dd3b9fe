import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from facialnet.errors import UserError
from facialnet.evaluation.comparison import compare, compare_all, holm
from facialnet.labels import AGE_GROUPS, GENDERS, Task

GENDER = Task("gender", "gender", GENDERS)
AGE = Task("age", "age_group", AGE_GROUPS, ordinal=True)


def answers(task, true, predicted, subjects=None):
    """Return a table of predictions from class numbers; a true -1 is no label."""
    true, predicted = np.asarray(true), np.asarray(predicted)
    names = np.array([*task.classes, None], dtype=object)
    table = pd.DataFrame(
        {
            "path": [f"{number:04}.jpg" for number in range(len(true))],
            "source": "x",
            "subject": subjects,
            "photo": None,
            f"{task.name}_true": names[true],
            f"{task.name}_predicted": names[predicted],
        }
    )
    for number, label in enumerate(task.classes):
        wrong = 0.1 / (len(task.classes) - 1)
        table[f"{task.name}_p_{label}"] = np.where(predicted == number, 0.9, wrong)
    return table


def gender_answers(right, subjects=None):
    """Everybody is male; the answers are right where it says so."""
    right = np.asarray(right, dtype=bool)
    return answers(GENDER, np.zeros(len(right), int), np.where(right, 0, 1), subjects)


def two_by_two(both, only_first, only_second, neither):
    """Two runs' right answers with these counts."""
    first = [1] * (both + only_first) + [0] * (only_second + neither)
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return np.array(first), np.array(second)


def test_counts_and_difference_by_hand():
    first, second = two_by_two(50, 10, 2, 38)
    result = compare(gender_answers(first), gender_answers(second), GENDER)
    assert result["task"] == "gender"
    assert (result["images"], result["people"], result["clustered_on"]) == (100, 100, "images")
    counts = ("both_right", "only_first", "only_second", "both_wrong")
    assert [result[name] for name in counts] == [50, 10, 2, 38]
    accuracy = result["accuracy"]
    assert accuracy["first"]["value"] == pytest.approx(0.60)
    assert accuracy["second"]["value"] == pytest.approx(0.52)
    assert accuracy["difference"]["value"] == pytest.approx(0.08)
    # 12 discordant images, at most 2 on one side, on both sides: 2 (1 + 12 + 66) / 2^12
    assert result["mcnemar_p"] == pytest.approx(158 / 4096)
    assert result["verdict"] == accuracy["verdict"] == "first better"
    assert "one_off" not in result


def test_difference_of_independent_images_has_the_textbooks_interval():
    first, second = two_by_two(500, 100, 60, 340)
    found = compare(gender_answers(first), gender_answers(second), GENDER)
    difference = found["accuracy"]["difference"]
    error = (first - second).std() / math.sqrt(1000)
    assert difference["low"] == pytest.approx(0.04 - 1.96 * error, abs=0.002)
    assert difference["high"] == pytest.approx(0.04 + 1.96 * error, abs=0.002)
    # and with many images the exact test is near McNemar's own chi-squared
    assert found["mcnemar_p"] == pytest.approx(chi2.sf((abs(100 - 60) - 1) ** 2 / 160, 1), rel=0.05)


def test_swapping_the_runs_swaps_everything():
    first, second = two_by_two(50, 20, 5, 25)
    subjects = [f"p{number % 30}" for number in range(100)]
    tables = gender_answers(first, subjects), gender_answers(second, subjects)
    one, other = compare(*tables, GENDER), compare(*reversed(tables), GENDER)
    assert (one["verdict"], other["verdict"]) == ("first better", "second better")
    assert one["mcnemar_p"] == pytest.approx(other["mcnemar_p"])
    assert one["accuracy"]["first"] == other["accuracy"]["second"]
    mine, its = one["accuracy"]["difference"], other["accuracy"]["difference"]
    assert (mine["value"], mine["low"], mine["high"]) == pytest.approx(
        (-its["value"], -its["high"], -its["low"])
    )


def test_images_of_one_person_are_one_opinion():
    """A run that is better on twenty images of two people has not been shown to be better."""
    first, second = two_by_two(60, 20, 2, 18)
    subjects = [f"p{number}" for number in range(60)]
    subjects += ["a"] * 10 + ["b"] * 10 + [f"q{number}" for number in range(20)]
    clustered = compare(gender_answers(first, subjects), gender_answers(second, subjects), GENDER)
    alone = compare(gender_answers(first), gender_answers(second), GENDER)
    assert clustered["mcnemar_p"] == alone["mcnemar_p"] < 0.001
    assert alone["verdict"] == "first better"
    assert clustered["verdict"] == "no difference shown"
    assert (clustered["people"], clustered["clustered_on"]) == (82, "people")


def test_equal_chances_are_rarely_called_different():
    generator = np.random.default_rng(0)
    who = np.repeat(np.arange(80), generator.integers(1, 15, 80))
    subjects = [f"p{number}" for number in who]
    called = called_by_mcnemar = 0
    for _ in range(100):
        easy = generator.random((2, 80))  # each run finds other people easy
        right = generator.random((2, len(who))) < easy[:, who]
        tables = (gender_answers(each, subjects) for each in right)
        result = compare(*tables, GENDER)
        called += result["verdict"] != "no difference shown"
        called_by_mcnemar += result["mcnemar_p"] < 0.05
    assert called <= 10  # 5 expected, 2 their standard deviation
    assert called_by_mcnemar >= 20


def test_the_order_of_the_rows_and_their_index_do_not_matter():
    first, second = two_by_two(50, 20, 5, 25)
    tables = gender_answers(first), gender_answers(second)
    shuffled = tables[1].sample(frac=1, random_state=0).set_axis(np.zeros(100, int))
    assert compare(tables[0], shuffled, GENDER) == compare(*tables, GENDER)


def test_equal_paths_of_two_sources_are_two_images():
    first, second = two_by_two(3, 1, 2, 4)
    tables = [gender_answers(first), gender_answers(second)]
    tables = [
        pd.concat([table, table.assign(source="y")], ignore_index=True).iloc[::step]
        for table, step in zip(tables, (1, -1), strict=True)
    ]
    assert compare(*tables, GENDER)["only_second"] == 4


def test_identical_answers_show_no_difference():
    table = gender_answers([1, 1, 0, 1] * 20)
    result = compare(table, table, GENDER)
    assert result["mcnemar_p"] == 1
    assert result["verdict"] == "no difference shown"
    assert result["accuracy"]["difference"]["value"] == 0


def test_one_person_gives_no_interval_and_no_verdict():
    first, second = two_by_two(0, 30, 0, 0)
    result = compare(gender_answers(first, "p"), gender_answers(second, "p"), GENDER)
    assert result["accuracy"]["difference"] == {"value": 1, "low": None, "high": None}
    assert result["verdict"] == "no difference shown"
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_ordered_classes_are_also_compared_by_one_off():
    true = np.full(60, 3)
    first = answers(AGE, true, np.full(60, 4))  # always one away
    second = answers(AGE, true, np.tile([3, 5, 6], 20))  # a third right, the others far off
    result = compare(first, second, AGE)
    assert result["verdict"] == "second better"
    assert result["one_off"]["verdict"] == "first better"
    assert result["one_off"]["first"]["value"] == 1
    assert result["one_off"]["second"]["value"] == pytest.approx(1 / 3)
    assert result["one_off"]["difference"]["value"] == pytest.approx(2 / 3)


def test_images_without_a_label_play_no_part():
    true = np.array([0] * 20 + [-1] * 5)
    first, second = (answers(GENDER, true, np.full(25, predicted)) for predicted in (0, 1))
    assert compare(first, second, GENDER)["images"] == 20
    assert compare(first, second.head(20), GENDER)["images"] == 20


def test_other_images_are_refused_with_a_count_and_an_example():
    table = gender_answers([1] * 10)
    with pytest.raises(UserError, match=r"3 of 10 are in one run only, for example 000[789]\.jpg"):
        compare(table, table.head(7), GENDER)
    with pytest.raises(UserError, match="14 of 14 are in one run only"):
        compare(table.head(7), table.head(7).assign(source="y"), GENDER)


def test_other_labels_are_refused_with_a_count_and_an_example():
    first = answers(GENDER, [0, 0, 0, 1], [0, 0, 0, 1])
    second = answers(GENDER, [0, 1, 0, 0], [0, 0, 0, 1])
    with pytest.raises(
        UserError, match=r"labels differ on 2 of 4 images, for example 0001\.jpg: male and female"
    ):
        compare(first, second, GENDER)


@pytest.mark.parametrize("swapped", [False, True])
def test_other_classes_are_refused(swapped):
    five = Task("age", "age_group", AGE_GROUPS[:5], ordinal=True)
    tables = [answers(each, [0, 1, 2], [0, 1, 2]) for each in (AGE, five)]
    for task in (AGE, five):
        with pytest.raises(UserError, match="task age: classes do not match"):
            compare(*(reversed(tables) if swapped else tables), task)


def test_a_run_without_the_task_is_refused():
    with pytest.raises(UserError, match="task age: classes do not match: none in the answers"):
        compare(gender_answers([1, 0]), gender_answers([1, 0]), AGE)


def test_nothing_labelled_is_refused():
    table = answers(GENDER, [-1, -1], [0, 1])
    with pytest.raises(UserError, match="no image has a label"):
        compare(table, table, GENDER)
    with pytest.raises(UserError, match="no image has a label"):
        compare(table.iloc[:0], table.iloc[:0], GENDER)


def test_an_image_that_was_answered_twice_is_refused():
    table = gender_answers([1, 0, 1])
    twice = pd.concat([table, table.tail(1)])
    with pytest.raises(UserError, match=r"several rows for one image, for example 0002\.jpg"):
        compare(twice, twice, GENDER)


def test_every_pair_is_compared_in_the_tasks_that_both_answer():
    true = np.zeros(40, int)
    gender = answers(GENDER, true, true)
    age = answers(AGE, true, true)
    both = gender.join(age.filter(like="age_"))
    records = compare_all(
        {"both": both, "gender": gender, "age": age, "again": both},
        {"gender": GENDER, "age": AGE},
    )
    pairs = {(record["task"], record["first"], record["second"]) for record in records}
    assert pairs == {
        ("gender", "both", "gender"),
        ("gender", "both", "again"),
        ("gender", "gender", "again"),
        ("age", "both", "age"),
        ("age", "both", "again"),
        ("age", "age", "again"),
    }
    assert all(record["comparable"] and record["images"] == 40 for record in records)


def test_p_values_are_corrected_for_the_pairs_of_a_task():
    tables = {
        "good": gender_answers(np.arange(100) < 90),
        "fair": gender_answers(np.arange(100) < 84),
        "poor": gender_answers(np.arange(100) < 80),
    }
    found = {
        (record["first"], record["second"]): record
        for record in compare_all(tables, {"gender": GENDER})
    }
    # one-sided differences of 6, 10 and 4 images: p = 2 / 2^n
    corrected = {pair: record["mcnemar_p_holm"] for pair, record in found.items()}
    assert corrected[("good", "poor")] == pytest.approx(3 * 2 / 2**10)
    assert corrected[("good", "fair")] == pytest.approx(2 * 2 / 2**6)
    assert corrected[("fair", "poor")] == pytest.approx(2 / 2**4)


def test_a_pair_that_cannot_be_compared_says_why_and_leaves_the_others_alone():
    table = gender_answers(np.arange(100) < 90)
    other = gender_answers(np.arange(100) < 80)
    records = compare_all(
        {"one": table, "other": other, "part": table.head(60)}, {"gender": GENDER}
    )
    comparable = {(each["first"], each["second"]): each["comparable"] for each in records}
    assert comparable == {
        ("one", "other"): True,
        ("one", "part"): False,
        ("other", "part"): False,
    }
    assert records[0]["mcnemar_p_holm"] == records[0]["mcnemar_p"]  # one comparison
    assert "40 of 100" in records[1]["reason"]
    assert "accuracy" not in records[1]


def test_nothing_to_compare_is_an_empty_list():
    assert compare_all({}, {"gender": GENDER}) == []
    assert compare_all({"one": gender_answers([1])}, {"gender": GENDER}) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),  # 3 x 0.01, 2 x 0.03, and no less than that
        ([0.5, 0.6], [1.0, 1.0]),
        ([0.02, 0.02, 0.9], [0.06, 0.06, 0.9]),
    ],
)
def test_holm_by_hand(given, expected):
    assert holm(given) == pytest.approx(expected)


def test_classes_in_another_order_are_other_classes():
    table = answers(AGE, [0, 1, 2], [0, 1, 2])
    probabilities = [f"age_p_{label}" for label in AGE_GROUPS]
    rest = [name for name in table.columns if name not in probabilities]
    with pytest.raises(UserError, match="classes do not match"):
        compare(table, table[rest + probabilities[::-1]], AGE)
