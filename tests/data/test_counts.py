import shutil

import numpy as np
import pandas as pd
import pytest
from split_checks import assert_apart, same, unknown

from facialnet.data.counts import Counts
from facialnet.data.leakage import find_leaks
from facialnet.data.manifest import as_manifest
from facialnet.data.sources.lfw import LFWSource
from facialnet.errors import UserError

PAPER = {"train": {"male": 3500, "female": 1000}, "test": {"male": 500, "female": 200}}
SMALL = {"train": {"male": 70, "female": 20}, "test": {"male": 15, "female": 7}}


def people(men=60, women=40, seed=0):
    """People with one to six images each in the order of their names, some of unknown gender."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(men + women):
        gender = "male" if number < men else "female"
        for image in range(draw.integers(1, 7)):
            known = gender if draw.random() < 0.95 else None
            rows.append((f"p{number:03}/{image}.jpg", f"p{number:03}", known))
    frame = pd.DataFrame(rows, columns=["path", "subject", "gender"])
    return as_manifest(frame.assign(source="faces"))


@pytest.fixture(scope="module")
def manifest():
    return people()


def genders(manifest, rows):
    return manifest["gender"].iloc[rows].value_counts(dropna=False).to_dict()


def assert_counts(manifest, split, settings, val):
    assert genders(manifest, split.train) == settings["train"]
    assert genders(manifest, split.test) == settings["test"]
    assert genders(manifest, split.val) == val
    together = np.concatenate([split.train, split.val, split.test])
    assert len(set(together)) == len(together)
    for part in (split.train, split.val, split.test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@pytest.mark.parametrize("by", ["image", "person"])
@pytest.mark.parametrize("seed", range(5))
def test_the_counts_are_exact(manifest, by, seed):
    split = Counts(**SMALL, by=by, seed=seed).split(manifest)
    assert_counts(manifest, split, SMALL, {"male": 7, "female": 2})
    if by == "person":
        assert_apart(manifest, split, ["subject"])
        assert not find_leaks(manifest, split).leaky
    else:
        assert find_leaks(manifest, split).leaky


def test_selected_are_the_first_images_of_shuffled_people(manifest):
    split = Counts(**SMALL, val_share=1).split(manifest)
    selected = np.sort(np.concatenate([split.train, split.test]))
    chosen = manifest.iloc[selected]
    for gender, total in (("male", 85), ("female", 27)):
        of = manifest[manifest["gender"] == gender]
        mine = chosen[chosen["gender"] == gender]
        assert len(mine) == total
        partly = 0
        for person, rows in mine.groupby("subject"):
            all_rows = of.index[of["subject"] == person]
            assert rows.index.tolist() == all_rows[: len(rows)].tolist()  # in file order
            partly += len(rows) < len(all_rows)
        assert partly <= 1  # the last one may be cut
    names = chosen["subject"].unique().tolist()
    assert max(names) > "p090"  # people are shuffled, not taken by name


def test_by_image_parts_at_random(manifest):
    split = Counts(**SMALL).split(manifest)
    shared = set(manifest["subject"].iloc[split.test]) & set(manifest["subject"].iloc[split.train])
    assert len(shared) > 5


def test_a_split_is_a_function_of_the_seed(manifest):
    for by in ("image", "person"):
        first = Counts(**SMALL, by=by, seed=3).split(manifest)
        np.random.seed(0)
        assert same(first, Counts(**SMALL, by=by, seed=3).split(manifest.copy()))
        other = Counts(**SMALL, by=by, seed=4).split(manifest)
        assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize("by", ["image", "person"])
def test_plain_numbers_ask_for_no_gender(manifest, by):
    split = Counts(train=100, test=15, by=by).split(manifest)
    assert (len(split.train), len(split.val), len(split.test)) == (100, 10, 15)
    parts = np.concatenate([split.train, split.test, split.val])
    assert manifest["gender"].iloc[parts].isna().any()
    assert split.protocol == f"counts 100 to train, 15 to test, by {by} seed 0"


def test_people_may_be_unknown_by_image_not_by_person(manifest):
    nobody = unknown(manifest, "subject")
    split = Counts(**SMALL).split(nobody)
    assert_counts(nobody, split, SMALL, {"male": 7, "female": 2})
    with pytest.raises(UserError, match=r"protocol\.by=person: this data set knows no people"):
        Counts(**SMALL, by="person").split(nobody)


def test_by_person_keeps_together_what_looks_alike(manifest):
    pairs = manifest.assign(lookalike=pd.array([pd.NA] * len(manifest), dtype="str"))
    draw = np.random.default_rng(1)
    for number, rows in enumerate(draw.permutation(len(manifest))[:60].reshape(-1, 2)):
        pairs.iloc[rows, pairs.columns.get_loc("lookalike")] = f"g{number}"
    split = Counts(**SMALL, by="person").split(pairs)
    assert_apart(pairs, split, ["subject", "lookalike"])
    with pytest.raises(AssertionError):  # so the column did it
        assert_apart(pairs, Counts(**SMALL, by="person").split(manifest), ["lookalike"])


def test_one_person_alone_may_fill_the_test_and_what_is_over_stays_unused():
    rows = [(f"{n}.jpg", "crowd", "male") for n in range(50)]
    rows += [(f"x{n}.jpg", f"x{n}", "male") for n in range(20)]
    frame = pd.DataFrame(rows, columns=["path", "subject", "gender"])
    manifest = as_manifest(frame.assign(source="faces"))
    seen = set()
    for seed in range(60):
        split = Counts(train=8, test=4, val_share=1, by="person", seed=seed).split(manifest)
        assert (len(split.train), len(split.val), len(split.test)) == (8, 1, 4)
        assert_apart(manifest, split, ["subject"])
        seen.add((manifest["subject"].iloc[split.test] == "crowd").all())
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("val_share", "expected"),
    [(0.2, {"male": 14, "female": 4}), (9, {"male": 7, "female": 2}), (1, {"male": 1})],
)
@pytest.mark.parametrize("by", ["image", "person"])
def test_validation_images_by_share_or_number(manifest, val_share, expected, by):
    split = Counts(**SMALL, val_share=val_share, by=by).split(manifest)
    assert_counts(manifest, split, SMALL, expected)


def test_too_few_images_say_how_many_there_are(manifest):
    have = int((manifest["gender"] == "female").sum())
    asked = {"train": {"male": 20, "female": have}, "test": {"male": 5, "female": 3}}
    with pytest.raises(UserError) as caught:
        Counts(**asked, val_share=20).split(manifest)
    assert f"{have} + 3 + 17 female images are asked for" in str(caught.value)
    assert f"but there are {have}; lower protocol.train" in str(caught.value)
    with pytest.raises(UserError, match=r"^protocol: 500 \+ 75 \+ 50 images .* there are \d+;"):
        Counts(train=500, test=75).split(manifest)


def test_too_few_people_say_how_many_images_are_left():
    rows = [(f"{n}.jpg", f"p{n // 10}", "male") for n in range(40)]
    frame = pd.DataFrame(rows, columns=["path", "subject", "gender"])
    manifest = as_manifest(frame.assign(source="faces"))
    settings = {"train": {"male": 28}, "test": {"male": 1}, "val_share": 2}
    Counts(**settings).split(manifest)
    message = (
        r"2 male images are asked for in the val part, but people who are in no other part have "
        r"only 0 of the 40"
    )
    with pytest.raises(UserError, match=message):
        Counts(**settings, by="person").split(manifest)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"by": "album"}, r"protocol\.by=album: allowed values are image, person"),
        ({"train": 500}, "must name the same genders, or both be one number"),
        ({"test": {"male": 5}}, "must name the same genders"),
        ({"train": 5, "test": 0}, r"protocol\.test=0 must be a whole number from 1 on"),
        ({"train": {"male": 1.5, "female": 2}}, r"protocol\.train\.male=1\.5 must be a whole"),
        ({"train": {"male": True, "female": 2}}, r"protocol\.train\.male=True must be a whole"),
        ({"train": {"boy": 2}, "test": {"boy": 1}}, r"protocol\.train\.boy: allowed are male"),
        ({"val_share": 0}, r"protocol\.val_share=0 must be a share between 0 and 0\.9 or a"),
        ({"val_share": 1.5}, r"protocol\.val_share=1\.5 must be"),
        ({"val_share": float("nan")}, r"protocol\.val_share=nan must be"),
        ({"val_share": float("inf")}, r"protocol\.val_share=inf must be"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Counts(**(SMALL | changes))


def test_the_order_of_genders_does_not_matter(manifest):
    turned = {"male": 15, "female": 7}
    first = Counts(train=SMALL["train"], test=dict(reversed(turned.items()))).split(manifest)
    assert same(first, Counts(**SMALL).split(manifest))


def test_the_name_tells_the_settings(manifest):
    assert Counts(**SMALL, by="person", seed=2, val_share=5).split(manifest).protocol == (
        "counts 70 male + 20 female to train, 15 male + 7 female to test, by person seed 2, "
        "val_share 5"
    )


@pytest.mark.slow
def test_the_lfw_papers_numbers_on_lfw(shared, tmp_path):
    shutil.unpack_archive(shared / "data/lfw.tar", tmp_path, filter="data")
    rows = LFWSource(root=str(tmp_path / "lfw")).read().rows
    manifest = as_manifest(rows[rows["dropped"].isna()].drop(columns="dropped"))
    for by in ("image", "person"):
        split = Counts(**PAPER, by=by).split(manifest)
        assert_counts(manifest, split, PAPER, {"male": 350, "female": 100})
        assert find_leaks(manifest, split).leaky == (by == "image")
