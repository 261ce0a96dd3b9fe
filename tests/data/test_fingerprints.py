import hashlib
import io
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageOps

from facialnet.data import fingerprints as module
from facialnet.data.fingerprints import content_hash, lookalikes
from facialnet.data.manifest import as_manifest
from facialnet.data.store import open_store
from facialnet.data.store_writing import write_store
from facialnet.data.transforms import Preprocessing

PLAIN = Preprocessing(size=75, margin=6)


def compressed(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file)


def resized(picture):
    return picture.resize([round(0.7 * side) for side in picture.size], Image.Resampling.BICUBIC)


def lit(factor):
    def change(picture):
        return ImageEnhance.Contrast(ImageEnhance.Brightness(picture).enhance(factor)).enhance(
            factor
        )

    return change


def cut(picture):
    """Leave 97 % of either side."""
    edge = round(0.015 * picture.width)
    return picture.crop((edge, edge, picture.width - edge, picture.height - edge))


COPIES = {
    "compressed": compressed,
    "resized": resized,
    "brighter": lit(1.15),
    "darker": lit(0.85),
    "mirrored": ImageOps.mirror,
    "cut": cut,
    "grey": lambda picture: picture.convert("L"),
}


def read(paths, change=lambda picture: picture, preprocessing=PLAIN):
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            changed = change(picture.convert("RGB"))
        mode = "L" if preprocessing.channels == 1 else "RGB"
        pictures.append(preprocessing(np.asarray(changed.convert(mode))))
    return np.stack(pictures)


def names(count, start=0):
    """Content hashes of files that all differ."""
    return [f"{number:032x}" for number in range(start, start + count)]


def found(pixels, contents=None):
    return lookalikes(contents or names(len(pixels)), [pixels])


def copies_found(originals, copies):
    """Of each copy, whether it is in a group with its original and with nothing else."""
    groups = found(np.concatenate([originals, copies]))
    first, second = (groups[: len(originals)], groups[len(originals) :].reset_index(drop=True))
    alone = groups.map(groups.value_counts()) == 2
    return (first == second) & alone[: len(originals)]


@pytest.fixture(scope="module")
def drawn_faces(drawn_root):
    paths = sorted(drawn_root.rglob("*.jpg"))
    good = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError:  # the drawn data hold broken files too
            continue
        good.append(path)
    return good


# --- drawn faces ---------------------------------------------------------------------------------


def test_a_content_hash_is_blake2b_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"face")
    expected = hashlib.blake2b(b"face", digest_size=16).hexdigest()
    assert content_hash(tmp_path / "file") == expected


def test_different_drawn_faces_are_no_copies(drawn_faces):
    assert len(drawn_faces) > 120
    assert found(read(drawn_faces)).isna().all()


@pytest.mark.parametrize("kind", COPIES)
def test_copies_of_drawn_faces_are_found(drawn_faces, kind):
    some = drawn_faces[:40]
    assert copies_found(read(some), read(some, COPIES[kind])).all()


def test_copies_are_found_in_colour_and_in_other_sizes(drawn_faces):
    some = drawn_faces[:20]
    for other in (Preprocessing(size=64, margin=4, channels=3), Preprocessing(size=128, margin=8)):
        assert found(read(some, preprocessing=other)).isna().all()
        copies = read(some, ImageOps.mirror, other)
        assert copies_found(read(some, preprocessing=other), copies).all()


def test_the_search_does_not_depend_on_its_blocks(drawn_faces, monkeypatch):
    pixels = read(drawn_faces[:30])
    pixels = np.concatenate([pixels, pixels[::-1, :, ::-1]])
    whole = found(pixels)
    assert whole.nunique() == 30
    monkeypatch.setattr(module, "_TILE", 7)
    monkeypatch.setattr(module, "_BATCH", 2)
    pieces = lookalikes(names(60), (pixels[at : at + 13] for at in range(0, 60, 13)))
    pd.testing.assert_series_equal(pieces, whole)


# --- groups --------------------------------------------------------------------------------------


def test_groups_are_named_by_their_smallest_content(drawn_faces):
    one, other, third = read(drawn_faces[:3])
    groups = found(np.stack([one, other, one, third, one]), ["e", "b", "c", "d", "a"])
    assert groups.isna().tolist() == [False, True, False, True, False]
    assert groups[groups.notna()].tolist() == ["a", "a", "a"]


def test_identical_files_are_one_group_whatever_they_show():
    flat = np.zeros((4, 20, 20, 1), np.uint8)
    groups = found(flat, ["b", "a", "b", "c"])
    assert groups[[0, 2]].tolist() == ["b", "b"]
    assert groups[[1, 3]].isna().all()  # pictures without detail are not compared


def test_nearly_empty_pictures_are_no_copies_of_each_other():
    draw = np.random.default_rng(0)
    noise = draw.integers(127, 129, (50, 30, 30, 1)).astype(np.uint8)
    assert found(noise).isna().all()


def test_no_and_one_picture(drawn_faces):
    assert lookalikes([], []).tolist() == []
    assert found(read(drawn_faces[:1])).isna().all()


def test_a_store_holds_the_fingerprints_of_its_pictures(drawn_faces, tmp_path):
    for name, path in zip("abc", drawn_faces, strict=False):
        (tmp_path / f"{name}.jpg").write_bytes(path.read_bytes())
    (tmp_path / "again.jpg").write_bytes(drawn_faces[0].read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"<html>")
    with Image.open(drawn_faces[1]) as picture:
        ImageOps.mirror(picture).save(tmp_path / "mirrored.png")
    order = ["broken.jpg", "b.jpg", "a.jpg", "mirrored.png", "c.jpg", "again.jpg"]
    rows = as_manifest(pd.DataFrame({"path": order}))
    folder = tmp_path / "set" / "store"
    write_store(folder, key="k", rows=rows, root=tmp_path, preprocessing=PLAIN, spec={})
    manifest = open_store(folder).manifest.set_index("path")
    assert manifest.index.tolist() == order[1:]
    for path, content in manifest["content"].items():
        bytes_read = (tmp_path / path).read_bytes()
        assert content == hashlib.blake2b(bytes_read, digest_size=16).hexdigest()
    groups = manifest["lookalike"]
    assert groups["a.jpg"] == groups["again.jpg"] == manifest["content"]["a.jpg"]
    assert (
        groups["b.jpg"]
        == groups["mirrored.png"]
        == min(manifest["content"][["b.jpg", "mirrored.png"]])
    )
    assert groups.isna().to_dict() == {path: path == "c.jpg" for path in order[1:]}


# --- real faces ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_twenty_thousand_pictures_are_compared_in_less_than_a_minute(utkface_root, capsys):
    pixels = read(sorted(utkface_root.glob("*.jpg")))
    many = np.concatenate([pixels, pixels[:, ::-1], pixels.transpose(0, 2, 1, 3)])[:20_000]
    start = time.perf_counter()
    found(many)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\n{len(many):,} pictures in {seconds:.1f} s")
    assert seconds < 60


@pytest.mark.slow
def test_copies_of_real_faces_are_found_and_other_faces_are_not_taken_for_copies(utkface_root):
    """Among 2,000 pictures, of which a few are copies of each other in the data set itself."""
    paths = sorted(utkface_root.glob("*.jpg"))
    paths = [paths[row] for row in np.random.default_rng(0).permutation(len(paths))[:2000]]
    originals = read(paths)
    known = found(originals)
    assert 0 < known.notna().sum() < 100
    alone = originals[known.isna()]
    for kind, change in COPIES.items():
        some = [paths[row] for row in np.flatnonzero(known.isna())[:250]]
        groups = found(np.concatenate([alone, read(some, change)]))
        assert groups[: len(some)].eq(groups[len(alone) :].to_numpy()).mean() >= 0.99, kind
        assert groups.notna().sum() <= 2 * len(some)
