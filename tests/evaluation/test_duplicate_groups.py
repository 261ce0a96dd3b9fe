import numpy as np
import pandas as pd

from facialnet.evaluation.audit.duplicate_groups import COLUMNS, duplicate_groups

MANIFEST = pd.DataFrame(
    {
        "path": [f"{name}.jpg" for name in "abcdefg"],
        "content": ["1", "1", "2", "3", "4", "5", "6"],
        "gender": ["male", "male", "male", "male", "female", None, "female"],
        "age_group": ["0-2", "0-2", None, "4-6", "60+", "4-6", "4-6"],
        "age_years": pd.array([1, 1, 4, 5, 70, 5, None], dtype="Int64"),
        "race": pd.Series([None] * 7, dtype="str"),
    }
)
NUMBERS = np.array([0, 0, 1, 2, 2, 3, 3])  # c stands alone


def test_groups_come_with_kind_and_conflict_the_worst_first():
    found = duplicate_groups(MANIFEST, NUMBERS)
    assert found["path"].tolist() == ["d.jpg", "e.jpg", "a.jpg", "b.jpg", "f.jpg", "g.jpg"]
    assert found["group"].tolist() == [1, 1, 2, 2, 3, 3]
    assert found["row"].tolist() == [3, 4, 0, 1, 5, 6]
    assert found["kind"].tolist() == ["look-alike"] * 2 + ["identical"] * 2 + ["look-alike"] * 2
    # f has no gender and g no years: what is missing conflicts with nothing
    assert found["conflict"].tolist() == ["gender age_group age_years"] * 2 + [""] * 4


def test_without_hashes_nothing_is_called_identical():
    found = duplicate_groups(MANIFEST.drop(columns="content"), NUMBERS)
    assert set(found["kind"]) == {"look-alike"}
    assert found["content"].isna().all()


def test_no_copies_are_an_empty_table():
    found = duplicate_groups(MANIFEST, np.arange(7))
    assert found.empty
    assert tuple(found.columns) == COLUMNS
    assert duplicate_groups(MANIFEST.iloc[:0], np.empty(0, np.int64)).empty
