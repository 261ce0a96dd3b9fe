import pandas as pd

from facialnet.evaluation.audit.exclusion_list import exclusion_list


def copies(*rows):
    return pd.DataFrame(rows, columns=["path", "content", "group", "kind", "conflict"])


def suspects(*rows):
    frame = pd.DataFrame(rows, columns=["path", "quality", "issue"])
    return frame.assign(content=frame["path"] + "#", task="gender", given="male", likely="female")


NONE = suspects()
ALONE = copies()


def test_suspects_need_a_low_quality_and_cleanlabs_word():
    table = suspects(("a", 0.01, True), ("b", 0.01, False), ("c", 0.06, True))
    found = exclusion_list(table, ALONE, ["gender"], 0.05)
    assert found.to_dict("records") == [
        {"path": "a", "content": "a#", "reason": "gender: male, likely female"}
    ]


def test_one_of_agreeing_copies_is_kept():
    group = copies(*((name, "1", 1, "identical", "age_years") for name in "abc"))
    found = exclusion_list(NONE, group, ["gender"], 0.05)
    assert found["path"].tolist() == ["b", "c"]
    assert set(found["reason"]) == {"identical copy, group 1"}


def test_all_copies_that_disagree_on_a_task_go():
    group = copies(*((name, name, 1, "look-alike", "gender age_years") for name in "ab"))
    found = exclusion_list(NONE, group, ["gender", "age_group"], 0.05)
    assert found["path"].tolist() == ["a", "b"]
    assert set(found["reason"]) == {"copies disagree on gender, group 1"}


def test_the_copy_that_is_kept_is_no_suspect():
    group = copies(*((name, f"{name}#", 1, "look-alike", "") for name in "abc"))
    found = exclusion_list(suspects(("a", 0.01, True)), group, ["gender"], 0.05)
    assert found["path"].tolist() == ["a", "c"]


def test_a_picture_stands_once_with_all_reasons():
    group = copies(*((name, f"{name}#", 1, "look-alike", "gender") for name in "ab"))
    found = exclusion_list(suspects(("b", 0.01, True)), group, ["gender"], 0.05)
    assert sorted(found["path"]) == ["a", "b"]
    assert found.set_index("path").at["b", "reason"] == (
        "gender: male, likely female; copies disagree on gender, group 1"
    )


def test_pictures_without_a_hash_are_not_listed():
    table = suspects(("a", 0.01, True)).assign(content=None)
    found = exclusion_list(table, ALONE, ["gender"], 0.05)
    assert found.empty
    assert list(found.columns) == ["path", "content", "reason"]
