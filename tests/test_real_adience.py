"""The tree of real faces: who gets which, as the leak figures measured on it rest on that."""

import numpy as np
import pandas as pd
import pytest
from real_adience import assign, build_tree

from facialnet.data.manifest import as_manifest
from facialnet.data.sources.adience import AdienceSource


def table(rows, *columns):
    frame = pd.DataFrame(rows, columns=columns)
    if "path" not in frame:
        frame["path"] = [f"{number}" for number in range(len(frame))]
    return as_manifest(frame)


def pool(count, gender="male", age_group="25-32", prefix="face"):
    """Faces of one gender and age group, each with a content of its own."""
    names = [f"{prefix}{number}" for number in range(count)]
    return table(
        [(name, f"content of {name}", gender, age_group) for name in names],
        *("path", "photo", "gender", "age_group"),
    )


def people(*sizes, gender="male", age_group="25-32", folds=1):
    """One person for each size, with so many rows, dealt over the folds."""
    return table(
        [
            (f"p{number}", number % folds, gender, age_group)
            for number, size in enumerate(sizes)
            for _ in range(size)
        ],
        *("subject", "fold", "gender", "age_group"),
    )


def faces_of(rows, chosen):
    return {name: set(chosen[index]) for name, index in rows.groupby("subject").groups.items()}


def test_pictures_are_parted_over_people_by_their_rows():
    rows = people(60, 30, 10)
    own = faces_of(rows, assign(rows, pool(20)))
    assert [len(own[name]) for name in ("p0", "p1", "p2")] == [12, 6, 2]
    assert len(set.union(*own.values())) == 20  # none of them shared


def test_everybody_gets_one_picture_at_least_and_no_more_than_rows():
    rows = people(1000, 1, 1, 2)
    own = faces_of(rows, assign(rows, pool(10)))
    assert [len(faces) for faces in own.values()] == [7, 1, 1, 1]
    own = faces_of(rows, assign(rows, pool(2000)))
    assert [len(faces) for faces in own.values()] == [1000, 1, 1, 2]


def test_a_pictures_repeats_are_even():
    rows = people(31)
    counts = assign(rows, pool(3)).value_counts()
    assert sorted(counts) == [10, 10, 11]


def test_identical_files_count_as_one_picture():
    faces = pool(6)
    faces["photo"] = ["a", "a", "b", "b", "c", "c"]
    rows = people(5, 5)
    chosen = assign(rows, faces).map(faces.set_index("path")["photo"])
    own = faces_of(rows, chosen)
    assert own["p0"].isdisjoint(own["p1"])
    assert set.union(*own.values()) == {"a", "b", "c"}


def test_too_few_pictures_are_shared_within_a_fold_only():
    rows = people(*[2] * 30, folds=3)
    chosen = assign(rows, pool(7))
    assert rows.groupby(chosen)["fold"].nunique().max() == 1
    assert chosen.nunique() == 7
    with pytest.raises(ValueError, match="2 faces are too few for 3"):
        assign(rows, pool(2))


def test_labels_are_those_of_the_row():
    faces = pd.concat([pool(9), pool(9, "female", "0-2", "baby")], ignore_index=True)
    rows = people(3, 3)
    rows.loc[3:, ["gender", "age_group"]] = ["female", "0-2"]
    assert set(assign(rows, faces).str[:4]) == {"face", "baby"}
    assert assign(rows, faces)[:3].str.startswith("face").all()


def test_missing_labels_are_the_persons_own_or_the_emptiest_pools():
    faces = pd.concat([pool(9), pool(3, "female", prefix="girl")], ignore_index=True)
    rows = people(4, 2, 3, 3)
    rows.loc[3, "gender"] = None  # the rest of p0 is male
    rows.loc[6:8, ["gender", "age_group"]] = None  # p2: no woman wants a picture yet
    rows.loc[9:, "gender"] = None  # p3: three rows for three women's pictures, six for nine men's
    own = faces_of(rows, assign(rows, faces))
    assert [faces.pop()[:4] for faces in own.values()] == ["face", "face", "girl", "face"]


def test_the_choice_is_always_the_same():
    rows, faces = people(9, 4, 2), pool(12)
    assert assign(rows, faces).tolist() == assign(rows.copy(), faces.copy()).tolist()


@pytest.mark.slow
def test_the_real_tree(shared, utkface_root, tmp_path):
    build_tree(shared / "data/adience", utkface_root, tmp_path / "tree")
    rows = as_manifest(
        AdienceSource(root=str(tmp_path / "tree"), label_policy="nearest").read().rows
    )
    rows = rows[rows["dropped"].isna()]
    targets = [(tmp_path / "tree" / path).resolve(strict=True) for path in rows["path"]]
    contents = pd.Series([target.read_bytes() for target in targets], index=rows.index)
    people_of_a_picture = rows.groupby(contents)["subject"].nunique()
    assert people_of_a_picture.max() == 1
    named = np.array([target.name.split("_")[1] for target in targets])
    known = rows["gender"].notna()
    assert (rows["gender"].map({"male": "0", "female": "1"}) == named)[known].all()
