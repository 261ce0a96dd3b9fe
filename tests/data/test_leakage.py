import json

import numpy as np
import pandas as pd
import pytest

from facialnet.data.leakage import find_leaks, guard
from facialnet.data.manifest import FINGERPRINTS, as_manifest
from facialnet.data.protocol import OfficialFolds, Split
from facialnet.data.sources.adience import AdienceSource
from facialnet.errors import UserError

COLUMN = {
    "person": "subject",
    "album": "album",
    "photo": "photo",
    "bytes": "content",
    "lookalike": "lookalike",
}
KINDS = list(COLUMN)
PAIRS = ("test/train", "test/val", "test/seen", "val/train")


def parts(train=60, val=20, test=40):
    numbers = np.arange(train + val + test)
    return Split(numbers[:train], numbers[train : train + val], numbers[train + val :], "by hand")


def clean(rows=120, **columns):
    """Every row differs from every other in all that is compared."""
    frame = {"path": [f"{row}.jpg" for row in range(rows)], "source": "set"}
    frame |= {column: [f"{column} {row}" for row in range(rows)] for column in COLUMN.values()}
    return as_manifest(pd.DataFrame(frame | columns))


def plant(manifest, column, first, second):
    manifest.loc[first, column] = manifest.loc[second, column]


def random_images(count, seed=0):
    """80 % to train on, 20 % to test on, as the papers split."""
    order = np.random.default_rng(seed).permutation(count)
    return Split(order[count // 5 :], order[:0], order[: count // 5], "random")


@pytest.fixture(scope="module")
def adience(shared):
    reading = AdienceSource(root=str(shared / "data" / "adience")).read()
    kept = reading.rows[reading.rows["dropped"].isna()]
    return as_manifest(kept.drop(columns="dropped"))


# --- what is found -------------------------------------------------------------------------------


def test_a_clean_split_shares_nothing():
    leaks = find_leaks(clean(), parts())
    assert leaks.sizes == {"train": 60, "val": 20, "test": 40}
    assert leaks.shared == {pair: dict.fromkeys([*KINDS, "any"], 0) for pair in PAIRS}
    assert not leaks.leaky
    assert not leaks.validation_leaky
    assert leaks.stamp is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("pair", "rows"),
    [("test/train", (100, 3)), ("test/val", (100, 70)), ("val/train", (70, 3))],
)
def test_each_kind_of_leak_is_found_alone(kind, pair, rows):
    manifest = clean()
    plant(manifest, COLUMN[kind], *rows)
    leaks = find_leaks(manifest, parts())
    expected = {name: dict.fromkeys([*KINDS, "any"], 0) for name in PAIRS}
    expected[pair] |= {kind: 1, "any": 1}
    if pair != "val/train":
        expected["test/seen"] |= {kind: 1, "any": 1}
    assert leaks.shared == expected
    assert leaks.leaky == (pair != "val/train")
    assert leaks.validation_leaky == (pair == "val/train")
    assert leaks.stamp is not None


def test_images_of_the_first_part_are_counted_once_for_any():
    manifest = clean()
    for row in (90, 91, 92):
        plant(manifest, "subject", row, 5)  # three images of one person
    plant(manifest, "photo", 90, 6)
    plant(manifest, "album", 93, 7)
    leaks = find_leaks(manifest, parts())
    assert leaks.shared["test/train"] == {
        "person": 3,
        "album": 1,
        "photo": 1,
        "bytes": 0,
        "lookalike": 0,
        "any": 4,
    }


def test_images_of_the_same_part_may_belong_together():
    manifest = clean()
    for column in COLUMN.values():
        plant(manifest, column, 100, 101)
        plant(manifest, column, 3, 4)
    assert find_leaks(manifest, parts()).stamp is None


def test_missing_values_belong_to_nobody():
    manifest = clean()
    manifest.loc[[3, 70, 100], list(COLUMN.values())] = pd.NA
    leaks = find_leaks(manifest, parts())
    assert leaks.shared["test/train"]["any"] == 0
    assert leaks.stamp is None


def test_names_count_within_their_data_set_and_contents_everywhere():
    manifest = clean(source=["one"] * 60 + ["other"] * 60)
    for column in COLUMN.values():
        plant(manifest, column, 100, 3)
    shared = find_leaks(manifest, parts()).shared["test/train"]
    assert shared == {"person": 0, "album": 0, "photo": 0, "bytes": 1, "lookalike": 1, "any": 1}


def test_the_count_is_that_of_plain_sets():
    draw = np.random.default_rng(1)
    columns = {name: draw.integers(0, 80, 120).astype(str) for name in COLUMN.values()}
    manifest, split = clean(**columns), parts()
    shared = find_leaks(manifest, split).shared
    for pair in PAIRS:
        parted = {"train": split.train, "val": split.val, "test": split.test}
        parted["seen"] = np.concatenate([split.train, split.val])
        first, second = (parted[part] for part in pair.split("/"))
        touched = set()
        for kind, column in COLUMN.items():
            seen = set(manifest[column].iloc[second])
            hits = [row for row in first if manifest[column].iloc[row] in seen]
            touched |= set(hits)
            assert shared[pair][kind] == len(hits) > 0
        assert shared[pair]["any"] == len(touched)


def test_what_a_data_set_does_not_know_is_none():
    manifest = clean(subject=None).drop(columns=list(FINGERPRINTS))
    plant(manifest, "photo", 100, 3)
    shared = find_leaks(manifest, parts()).shared["test/train"]
    assert shared == {
        "person": None,
        "album": 0,
        "photo": 1,
        "bytes": None,
        "lookalike": None,
        "any": 1,
    }


def test_an_empty_column_of_look_alikes_says_that_there_are_none():
    shared = find_leaks(clean(lookalike=None), parts()).shared["test/train"]
    assert shared["lookalike"] == 0


def test_nothing_known_at_all():
    leaks = find_leaks(as_manifest(pd.DataFrame({"path": list("abcdef")})), parts(3, 1, 2))
    assert set(leaks.shared["test/train"].values()) == {None}
    assert not leaks.leaky
    assert leaks.stamp is None
    assert leaks.lines() == [
        "images: training 3, validation 1, test 2",
        "training, validation and test: nothing is known to compare them by",
    ]


def test_parts_may_be_empty():
    everything = Split(np.empty(0, np.int64), np.empty(0, np.int64), np.arange(120), "all")
    leaks = find_leaks(clean(), everything)
    assert leaks.stamp is None
    assert len(leaks.lines()) == 1


def test_the_plain_form_is_json():
    leaks = find_leaks(clean(), parts())
    assert json.loads(json.dumps(leaks.as_dict())) == {
        "sizes": leaks.sizes,
        "shared": leaks.shared,
    }


# --- what is said --------------------------------------------------------------------------------


def test_the_stamp_names_people_first_and_shares_in_percent():
    manifest = clean()
    for row in range(80, 110):
        plant(manifest, "subject", row, 5)
    plant(manifest, "content", 80, 6)
    assert find_leaks(manifest, parts()).stamp == (
        "LEAKY: 75.0 % of the test images show a person seen in training (files 2.5 %)"
    )


def test_without_people_the_stamp_names_what_touches_most_images():
    manifest = clean(subject=None)
    plant(manifest, "photo", 80, 5)
    for row in (81, 82):
        plant(manifest, "lookalike", row, 5)
    assert find_leaks(manifest, parts()).stamp == (
        "LEAKY: 5.0 % of the test images look like an image seen in training (photos 2.5 %)"
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("person", "shows a person"),
        ("album", "comes from an album"),
        ("photo", "comes from a photo"),
        ("bytes", "repeats a file"),
        ("lookalike", "looks like an image"),
    ],
)
def test_rare_leaks_are_counts(kind, words):
    split = parts(100, 20, 2001)
    manifest = clean(2121)
    plant(manifest, COLUMN[kind], 2000, 5)
    leaks = find_leaks(manifest, split)
    assert leaks.stamp == f"LEAKY: 1 of 2,001 test images {words} seen in training"


def test_a_leak_into_validation_is_named_when_it_is_the_only_one():
    manifest = clean()
    plant(manifest, "photo", 100, 70)
    assert find_leaks(manifest, parts()).stamp == (
        "LEAKY: 2.5 % of the test images come from a photo seen in validation"
    )


def test_an_epoch_chosen_on_seen_people():
    manifest = clean()
    for row in range(60, 79):
        plant(manifest, "subject", row, 5)
    assert find_leaks(manifest, parts()).stamp == (
        "epoch chosen on seen people: "
        "95.0 % of the validation images show a person seen in training"
    )
    manifest = clean()
    plant(manifest, "content", 60, 5)
    assert find_leaks(manifest, parts()).stamp.startswith("epoch chosen on seen images: 5.0 % of")


def test_the_lines_tell_what_was_compared_even_where_nothing_is_shared():
    assert find_leaks(clean(), parts()).lines() == [
        "images: training 60, validation 20, test 40",
        "training, validation and test share no person, album, photo, file or look-alike",
    ]


def test_the_lines_tell_what_is_shared_and_that_people_are_not_known():
    manifest = clean(subject=None, album=None).drop(columns=list(FINGERPRINTS))
    plant(manifest, "photo", 100, 3)
    assert find_leaks(manifest, parts()).lines() == [
        "images: training 60, validation 20, test 40",
        "test and training: 2.5 % of the test images seen in training (photos 1)",
        "people are not known in this data set: they may be shared",
    ]


# --- what is done about it -----------------------------------------------------------------------


@pytest.fixture
def leaky():
    manifest = clean()
    plant(manifest, "subject", 100, 3)
    return find_leaks(manifest, parts())


def test_refusing_names_the_numbers_and_the_ways_on(leaky):
    said = []
    with pytest.raises(UserError) as caught:
        guard(leaky, "refuse", said.append)
    message = str(caught.value)
    assert leaky.stamp in message
    for way in ("another protocol or fold", "protocol.on_leak=warn", "protocol.on_leak=stamp"):
        assert way in message
    assert "\n" not in message
    assert said == leaky.lines()


def test_warning_and_stamping_go_on(leaky):
    for on_leak, last in (("warn", f"WARNING: {leaky.stamp}"), ("stamp", leaky.stamp)):
        said = []
        guard(leaky, on_leak, said.append)
        assert said == [*leaky.lines(), last]


def test_an_epoch_chosen_on_seen_people_is_refused_too():
    manifest = clean()
    plant(manifest, "subject", 70, 3)
    with pytest.raises(UserError, match="epoch chosen on seen people"):
        guard(find_leaks(manifest, parts()), "refuse", lambda _: None)


@pytest.mark.parametrize("on_leak", ["refuse", "warn", "stamp"])
def test_a_clean_split_passes_with_its_lines(on_leak):
    leaks, said = find_leaks(clean(), parts()), []
    guard(leaks, on_leak, said.append)
    assert said == leaks.lines()


def test_another_word_is_refused(leaky):
    with pytest.raises(
        UserError, match=r"protocol\.on_leak=ignore: allowed values are refuse, warn, stamp"
    ):
        guard(leaky, "ignore", lambda _: None)


# --- the real lists ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("fold", range(5))
def test_official_folds_of_adience_share_nothing(adience, fold):
    leaks = find_leaks(adience, OfficialFolds(test_fold=fold).split(adience))
    zero = {"person": 0, "album": 0, "photo": 0, "bytes": None, "lookalike": None, "any": 0}
    assert leaks.shared == dict.fromkeys(PAIRS, zero)
    assert leaks.stamp is None


@pytest.mark.slow
def test_random_images_of_adience_show_seen_people(adience):
    """Paper notes, section 6: 95 % of the test images show a face id that is also in training."""
    leaks = find_leaks(adience, random_images(len(adience)))
    share = leaks.shared["test/train"]["person"] / leaks.sizes["test"]
    assert share == pytest.approx(0.95, abs=0.01)
    assert leaks.leaky
    assert leaks.stamp.startswith("LEAKY: 9")
