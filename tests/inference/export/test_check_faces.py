"""Where the faces of a check come from: stores, folders of pictures, or nowhere."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_checkpoint import plain_card, ready, smooth_pictures

from facialnet.data.manifest import as_manifest
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.data.store import Store
from facialnet.data.store_writing import write_store
from facialnet.errors import UserError
from facialnet.inference.export.faces import (
    faces_of_pictures,
    faces_of_store,
    find_store,
    noise,
)
from facialnet.labels import IGNORE


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, values in enumerate(smooth_pictures(12, (3, 90, 80)).transpose(0, 2, 3, 1)):
        place = folder / f"{number % 2}"
        place.mkdir(exist_ok=True)
        Image.fromarray(values).save(place / f"{number:02d}.png")
    (folder / "broken.jpg").write_bytes(b"broken")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def card():
    return plain_card()


@pytest.fixture
def subject(tmp_path, card):
    return ready(tmp_path / "tiny.ckpt", card)


@pytest.fixture
def prepared(tmp_path, pictures, card):
    """A folder of stores, as prepare leaves it, with one store of another size."""
    paths = sorted(path.relative_to(pictures).as_posix() for path in pictures.rglob("*.png"))
    rows = as_manifest(pd.DataFrame({"path": paths, "source": "mine"}))
    rows["gender"] = [("male", "female", None)[number % 3] for number in range(12)]
    folder = tmp_path / "prepared"
    for name, spec in (
        ("mine-1", card["preprocess"]),
        ("mine-2", plain_card(size=40)["preprocess"]),
    ):
        write_store(
            folder / name / "store",
            key=name,
            rows=rows,
            root=pictures,
            preprocessing=preprocessing_from_plain(spec),
            spec=spec,
        )
    return folder


def test_a_store_is_found_by_what_is_in_it(prepared, tmp_path):
    wanted = Store(prepared / "mine-1" / "store")
    for place in (prepared, prepared / "mine-1", prepared / "mine-1" / "store"):
        found = find_store(place, wanted.digest)
        assert found is not None
        assert found.digest == wanted.digest
    other = find_store(prepared / "mine-2" / "store", wanted.digest)  # asked for by name
    assert other is not None
    assert other.digest != wanted.digest
    with pytest.raises(UserError, match="none of its 2 stores is the one that the checkpoint"):
        find_store(prepared, "something-else")
    assert find_store(tmp_path / "nowhere", wanted.digest) is None


def test_its_pictures_are_the_networks_input_with_labels(prepared, subject, card):
    store = Store(prepared / "mine-1" / "store")
    preprocessing = preprocessing_from_plain(card["preprocess"])
    faces = faces_of_store(
        subject, store, np.arange(2, 12), preprocessing, most=4, what="test faces of mine"
    )
    assert faces.what == "4 of 10 test faces of mine"
    rows = [2, 5, 8, 11]
    inner = store.pixels(rows)[:, 3:-3, 3:-3]
    np.testing.assert_array_equal(faces.pixels, inner.transpose(0, 3, 1, 2))
    assert faces.pixels.flags.c_contiguous
    assert faces.targets["gender"].tolist() == [IGNORE] * 4
    every = faces_of_store(subject, store, np.arange(12), preprocessing, most=50, what="faces")
    assert every.what == "12 faces"
    assert every.targets["gender"].tolist() == [0, 1, IGNORE] * 4
    assert set(every.targets["age"]) == {IGNORE}


def test_views_that_need_it_keep_the_margin(prepared, tmp_path):
    card = plain_card(views="TenCrop")
    subject = ready(tmp_path / "ten.ckpt", card)
    store = Store(prepared / "mine-1" / "store")
    preprocessing = preprocessing_from_plain(card["preprocess"])
    faces = faces_of_store(subject, store, np.arange(3), preprocessing, most=3, what="faces")
    np.testing.assert_array_equal(faces.pixels, store.pixels([0, 1, 2]).transpose(0, 3, 1, 2))


def test_a_store_of_another_size_is_refused(prepared, subject, card):
    store = Store(prepared / "mine-2" / "store")
    with pytest.raises(UserError, match=r"its pictures are \[46, 46, 1\], .* needs \[38, 38, 1\]"):
        faces_of_store(
            subject,
            store,
            np.arange(3),
            preprocessing_from_plain(card["preprocess"]),
            most=3,
            what="",
        )


def test_pictures_of_a_folder_are_the_same_pixels(prepared, pictures, subject, card):
    preprocessing = preprocessing_from_plain(card["preprocess"])
    faces = faces_of_pictures(subject, pictures, preprocessing, most=50)
    store = Store(prepared / "mine-1" / "store")
    inner = store.pixels(slice(0, 12))[:, 3:-3, 3:-3].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(faces.pixels, inner)
    assert faces.what.startswith("12 of 13 pictures in")
    assert faces.what.endswith("without labels (1 could not be read)")
    assert faces.targets == {}
    few = faces_of_pictures(subject, pictures, preprocessing, most=3)  # the broken one among them
    np.testing.assert_array_equal(few.pixels, faces.pixels[[0, 6]])
    assert few.what.startswith("2 of 13 pictures")


def test_an_empty_folder_is_refused(subject, card, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds neither stores nor pictures"):
        faces_of_pictures(
            subject, tmp_path / "empty", preprocessing_from_plain(card["preprocess"]), most=3
        )


def test_noise_says_that_it_is_noise(subject):
    faces = noise(subject, 5)
    assert faces.pixels.shape == (5, 1, 32, 32)
    assert not faces.real
    assert "noise" in faces.what
