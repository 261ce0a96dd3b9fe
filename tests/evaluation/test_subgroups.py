import json
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, recall_score

from facialnet.errors import UserError
from facialnet.evaluation.subgroups import subgroups
from facialnet.labels import AGE_GROUPS, GENDERS, RACES, Task

GENDER = Task("gender", "gender", GENDERS)
AGE = Task("age", "age_group", AGE_GROUPS, ordinal=True)
TASKS = {"gender": GENDER, "age": AGE}


def with_answers(table, task, predicted):
    """Add a task's columns: classes by number, with 0.9 for the predicted one."""
    predicted = np.asarray(predicted)
    classes = np.array(task.classes, dtype=object)
    rest = 0.1 / (len(classes) - 1)
    columns = {
        f"{task.name}_true": table[task.column],
        f"{task.name}_predicted": classes[predicted],
    }
    for number, label in enumerate(task.classes):
        columns[f"{task.name}_p_{label}"] = np.where(predicted == number, 0.9, rest)
    return table.assign(**columns)


def drawn_table(images=1200, people=200, seed=0):
    """Answers on people of all groups, six of ten right."""
    generator = np.random.default_rng(seed)
    who = generator.integers(0, people, images)
    gender, age, race = (
        generator.integers(0, count, people)[who] for count in (2, len(AGE_GROUPS), len(RACES))
    )
    table = pd.DataFrame(
        {
            "path": [f"{number}.jpg" for number in range(images)],
            "source": "drawn",
            "subject": [f"p{number}" for number in who],
            "photo": None,
            "gender": np.array(GENDERS)[gender],
            "age_group": np.array(AGE_GROUPS)[age],
            "race": np.array(RACES)[race],
        }
    )
    for task, truth in ((GENDER, gender), (AGE, age)):
        right = generator.random(images) < 0.6
        other = generator.integers(0, len(task.classes), images)
        table = with_answers(table, task, np.where(right, truth, other))
    return table


def records(result, task, grouping):
    return {group["group"]: group for group in result[task][grouping]["groups"]}


def test_every_group_has_the_figures_of_its_images():
    table = drawn_table()
    result = subgroups(table, TASKS)
    assert set(result) == set(TASKS)
    keys = {
        "gender": ["gender"],
        "age_group": ["age_group"],
        "age_group x gender": ["age_group", "gender"],
        "race": ["race"],
    }
    steps = {label: number for number, label in enumerate(AGE_GROUPS)}
    for task, (grouping, columns) in ((t, k) for t in TASKS for k in keys.items()):
        found = records(result, task, grouping)
        expected = {" · ".join(name): part for name, part in table.groupby(columns)}
        assert set(found) == set(expected)
        for name, part in expected.items():
            true, predicted = part[f"{task}_true"], part[f"{task}_predicted"]
            assert found[name]["images"] == len(part)
            assert found[name]["people"] == part["subject"].nunique()
            accuracy = found[name]["accuracy"]
            assert accuracy["value"] == pytest.approx(accuracy_score(true, predicted))
            assert accuracy["low"] < accuracy["value"] < accuracy["high"]
            if task == "age":
                off = (true.map(steps) - predicted.map(steps)).abs()
                assert found[name]["one_off"]["value"] == pytest.approx((off <= 1).mean())
            else:
                assert "one_off" not in found[name]
    assert list(result) == ["gender", "age"]
    assert list(result["age"]) == list(keys)


def test_groups_come_in_the_order_of_their_labels():
    result = subgroups(drawn_table(), TASKS, resamples=50)
    assert list(records(result, "age", "age_group")) == list(AGE_GROUPS)
    assert list(records(result, "age", "gender")) == list(GENDERS)
    crossed = list(records(result, "age", "age_group x gender"))
    assert crossed[:3] == ["0-2 · male", "0-2 · female", "4-6 · male"]
    assert crossed[-1] == "60+ · female"


def test_labels_of_other_names_come_last():
    table = drawn_table().replace({"race": {"white": "zulu", "black": "aymara"}})
    found = records(subgroups(table, TASKS, resamples=50), "gender", "race")
    assert list(found) == ["asian", "indian", "other", "aymara", "zulu"]


def test_accuracy_by_the_task_itself_is_recall():
    table = drawn_table()
    found = records(subgroups(table, TASKS, resamples=50), "gender", "gender")
    recalls = recall_score(
        table["gender_true"], table["gender_predicted"], labels=list(GENDERS), average=None
    )
    assert [found[name]["accuracy"]["value"] for name in GENDERS] == pytest.approx(recalls)


def test_worst_best_and_gap_are_those_of_the_groups():
    result = subgroups(drawn_table(images=3000), TASKS)
    for task in TASKS:
        for grouping, found in result[task].items():
            values = {
                group["group"]: group["accuracy"] for group in found["groups"] if not group["small"]
            }
            worst, best = found["worst"], found["best"]
            assert worst["value"] == min(each["value"] for each in values.values())
            assert best["value"] == max(each["value"] for each in values.values())
            for place in (worst, best):
                assert values[place["group"]] == {
                    key: place[key] for key in ("value", "low", "high")
                }
            gap = found["gap"]
            assert gap["value"] == pytest.approx(best["value"] - worst["value"]), grouping
            assert 0 <= gap["low"] <= gap["value"] <= gap["high"] <= 1


def four_groups():
    """White is the worst; black has 29 images, asian 9 people, and both would be worse still."""
    people = {"white": 20, "black": 29, "asian": 9, "indian": 10}
    images = {"white": 5, "black": 1, "asian": 10, "indian": 3}
    right = {"white": 0.6, "black": 0.1, "asian": 0.2, "indian": 0.9}
    rows = []
    for race, count in people.items():
        for person in range(count):
            for image in range(images[race]):
                number = person * images[race] + image
                rows.append((race, f"{race}{person}", number % 10 < 10 * right[race]))
    table = pd.DataFrame(rows, columns=["race", "subject", "right"])
    table = table.assign(source="x", path=table.index.astype(str), photo=None, gender="male")
    return with_answers(table, GENDER, np.where(table["right"], 0, 1))


def test_small_groups_are_shown_and_named_but_neither_worst_nor_in_the_gap():
    found = subgroups(four_groups(), {"gender": GENDER})["gender"]
    assert set(found) == {"race"}  # everybody is male, and there are no ages
    found = found["race"]
    small = {group["group"]: group["small"] for group in found["groups"]}
    assert small == {"white": False, "black": True, "asian": True, "indian": False}
    assert found["worst"]["group"] == "white"
    assert found["best"]["group"] == "indian"
    assert found["gap"]["value"] == pytest.approx(0.3)
    assert "under 30 images or 10 people" in found["warning"]
    assert found["warning"].endswith(": black, asian")
    black = next(group for group in found["groups"] if group["group"] == "black")
    assert (black["images"], black["people"]) == (29, 29)
    assert black["accuracy"]["low"] < black["accuracy"]["value"] < black["accuracy"]["high"]


def test_groups_large_enough_need_no_warning():
    table = four_groups()
    table = table[table["race"].isin(["white", "indian"])]
    assert subgroups(table, {"gender": GENDER})["gender"]["race"]["warning"] is None


@pytest.mark.parametrize("kept", [["white", "black"], ["black", "asian"]])
def test_fewer_than_two_large_groups_have_no_gap(kept):
    table = four_groups()
    found = subgroups(table[table["race"].isin(kept)], {"gender": GENDER})["gender"]["race"]
    assert len(found["groups"]) == 2
    assert (found["worst"], found["best"], found["gap"]) == (None, None, None)
    assert "black" in found["warning"]


def test_a_group_of_one_person_has_no_interval_and_everything_is_plain():
    table = four_groups()
    table.loc[table["race"] == "asian", "subject"] = "one"
    result = subgroups(table, {"gender": GENDER})
    asian = records(result, "gender", "race")["asian"]
    assert asian["people"] == 1
    assert asian["accuracy"]["value"] == pytest.approx(0.2)
    assert (asian["accuracy"]["low"], asian["accuracy"]["high"]) == (None, None)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_several_data_sets_are_told_apart():
    table = drawn_table()
    table.loc[:399, "source"] = "other"
    found = records(subgroups(table, {"age": AGE}, resamples=50), "age", "source")
    right = table["age_true"] == table["age_predicted"]
    for name, part in right.groupby(table["source"]):
        assert found[name]["images"] == len(part)
        assert found[name]["accuracy"]["value"] == pytest.approx(part.mean())


def test_rows_without_a_group_or_a_label_are_left_out_and_counted():
    table = drawn_table()
    table.loc[:99, "age_group"] = None
    table.loc[50:149, "gender"] = None
    table.loc[1100:, "gender_true"] = None
    result = subgroups(table, TASKS)
    left_out = {grouping: found["left_out"] for grouping, found in result["gender"].items()}
    assert left_out == {"gender": 100, "age_group": 100, "age_group x gender": 150, "race": 0}
    for found in result["gender"].values():
        assert sum(group["images"] for group in found["groups"]) == 1100 - found["left_out"]
    labelled = table[table["gender_true"].notna() & (table["race"] == "asian")]
    expected = accuracy_score(labelled["gender_true"], labelled["gender_predicted"])
    asian = records(result, "gender", "race")["asian"]
    assert asian["accuracy"]["value"] == pytest.approx(expected)


def test_columns_that_say_nothing_are_no_grouping():
    table = drawn_table()
    assert set(subgroups(table.drop(columns="race"), TASKS)["age"]) == {
        "gender",
        "age_group",
        "age_group x gender",
    }
    table["gender"], table["race"] = None, "white"
    table.loc[::2, "race"] = None
    assert set(subgroups(table, TASKS)["age"]) == {"age_group"}


def test_labels_that_never_meet_are_not_crossed():
    table = drawn_table()
    table.loc[::2, "age_group"] = None
    table.loc[1::2, "gender"] = None
    assert set(subgroups(table, TASKS)["age"]) == {"gender", "age_group", "race"}


def test_without_people_images_stand_for_themselves():
    table = drawn_table().assign(subject=None)
    for group in records(subgroups(table, TASKS), "age", "race").values():
        assert group["people"] == group["images"]


def test_a_task_without_labels_has_no_groupings():
    table = drawn_table()
    table["gender_true"] = None
    result = subgroups(table, TASKS, resamples=50)
    assert result["gender"] == {}
    assert result["age"]
    assert subgroups(table.iloc[:0], TASKS) == {"gender": {}, "age": {}}


def test_a_table_without_the_task_is_refused():
    table = drawn_table().drop(columns="age_p_60+")
    with pytest.raises(UserError, match=r"age_p_60\+"):
        subgroups(table, TASKS)


def test_any_index_will_do():
    table = drawn_table()
    expected = subgroups(table, TASKS, resamples=100)
    assert subgroups(table.set_axis(np.zeros(len(table), int)), TASKS, resamples=100) == expected


@pytest.mark.slow  # a bound on time holds on a machine that does nothing else
def test_a_fold_takes_two_seconds_at_most():
    table = drawn_table(images=4000, people=450)
    start = time.process_time()
    subgroups(table, TASKS)
    assert time.process_time() - start < 2
