import errno
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facialnet.data import store_writing as module
from facialnet.data.decode import decode
from facialnet.data.manifest import (
    FINGERPRINTS,
    LANDMARKS,
    as_manifest,
    manifest_hash,
    write_manifest,
)
from facialnet.data.store import Store, open_store
from facialnet.data.store_writing import check_pictures, write_store
from facialnet.data.transforms import AlignFivePoints, Preprocessing
from facialnet.errors import UserError

SPEC = {"size": 24, "margin": 3}
FORK = multiprocessing.get_context("fork")


def partial_name(process: int) -> str:
    return f".set-1.{socket.gethostname().replace('.', '-')}.{process}.partial"


@pytest.fixture
def write(photos, preprocessing, tmp_path):
    """Write the store of the photos, or of what a test gives instead."""

    def call(**changes):
        arguments = {
            "key": "k",
            "rows": photos.rows,
            "root": photos.root,
            "preprocessing": preprocessing,
            "spec": SPEC,
        }
        return write_store(tmp_path / "set-1" / "store", **(arguments | changes))

    return call


def without_fingerprints(store):
    return store.manifest.drop(columns=list(FINGERPRINTS))


def names_below(folder):
    """Every name, hidden ones too."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- content -------------------------------------------------------------------------------------


def test_pixels_are_those_of_every_picture_in_the_rows_order(photos, store, preprocessing):
    assert len(store) == 40
    assert store.shape == (40, 30, 30, 1)
    pd.testing.assert_frame_equal(without_fingerprints(store), photos.rows)
    for row, path in enumerate(photos.rows["path"]):
        image, _ = decode(photos.root / path, grey=True, shortest=60)
        np.testing.assert_array_equal(store.pixels([row])[0], preprocessing(image))


def test_the_folder_says_what_it_holds(store):
    assert names_below(store.folder) == ["manifest.parquet", "pixels.u8", "store.json"]
    assert (store.folder / "pixels.u8").stat().st_size == 40 * 30 * 30
    assert store.key == "0123456789abcdef" * 2
    assert store.about["preprocessing"] == SPEC
    assert names_below(store.folder.parent) == ["store"]


@pytest.mark.parametrize(
    "indices", [[3, 3, 0], np.array([39, 1]), slice(5, 9), slice(None), [], [-1]]
)
def test_pixels_are_copies_of_the_rows_asked_for(store, indices):
    everything = np.fromfile(store.folder / "pixels.u8", np.uint8).reshape(store.shape)
    wanted = np.array(indices, np.int64) if isinstance(indices, list) else indices
    pixels = store.pixels(wanted)
    np.testing.assert_array_equal(pixels, everything[wanted])
    pixels[:] = 0  # a copy may be written to, and the store stays as it was
    np.testing.assert_array_equal(store.pixels(wanted), everything[wanted])


def test_colour(photos, write, tmp_path):
    write(preprocessing=Preprocessing(size=24, margin=3, channels=3))
    store = open_store(tmp_path / "set-1" / "store")
    assert store.shape == (40, 30, 30, 3)
    image, _ = decode(photos.root / photos.rows["path"][7], grey=False, shortest=60)
    assert np.abs(store.pixels([7]).mean((0, 1, 2)) - image.mean((0, 1))).max() < 12


def test_unreadable_pictures_are_left_out_and_named(own_photos, write, tmp_path):
    paths = own_photos.rows["path"]
    (own_photos.root / paths[0]).write_bytes(b"")
    (own_photos.root / paths[13]).write_bytes(b"GIF89a")
    (own_photos.root / paths[39]).unlink()
    broken = write(root=own_photos.root)
    assert set(broken) == {paths[0], paths[13], paths[39]}
    assert broken[paths[0]] == "empty file"
    assert broken[paths[13]] == "not a picture"
    store = open_store(tmp_path / "set-1" / "store")
    assert len(store) == len(store.manifest) == 37
    kept = own_photos.rows.drop(index=[0, 13, 39]).reset_index(drop=True)
    pd.testing.assert_frame_equal(without_fingerprints(store), kept)
    image, _ = decode(own_photos.root / kept["path"][36], grey=True, shortest=60)
    np.testing.assert_array_equal(store.pixels([36])[0], Preprocessing(**SPEC)(image))
    assert check_pictures(own_photos.rows, own_photos.root, Preprocessing(**SPEC)) == broken


def test_a_large_picture_is_aligned_like_a_small_one(tmp_path):
    draw = np.random.default_rng(0)
    small = Image.fromarray(draw.integers(0, 256, (10, 10), np.uint8)).resize((100, 100), 3)
    small.save(tmp_path / "small.png")
    small.resize((800, 800), 3).save(tmp_path / "large.jpg", quality=95)
    points = np.array([40, 40, 65, 45, 50, 55, 38, 65, 60, 70], float)
    columns = dict(zip(LANDMARKS, np.stack([points, 8 * points]).T, strict=True))
    rows = as_manifest(pd.DataFrame({"path": ["small.png", "large.jpg"], **columns}))
    aligned = Preprocessing(size=40, margin=5, steps={"align": AlignFivePoints()})
    folder = tmp_path / "set" / "store"
    assert not write_store(
        folder, key="k", rows=rows, root=tmp_path, preprocessing=aligned, spec={}
    )
    first, second = open_store(folder).pixels([0, 1]).astype(int)
    assert np.abs(first - second).mean() < 6
    plain = Preprocessing(size=40, margin=5)(np.asarray(small)).astype(int)
    assert np.abs(first - plain).mean() > 20  # they were aligned at all


def test_a_crop_is_applied_at_full_detail(tmp_path):
    """A large JPEG is decoded smaller, but not so far that what a crop leaves would suffer."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (200, 200), np.uint8)
    large = Image.fromarray(coarse).resize((1600, 1600), Image.Resampling.BICUBIC)
    large.save(tmp_path / "a.jpg", quality=95)
    rows = as_manifest(pd.DataFrame({"path": ["a.jpg"] * 3, "crop": [None, 0.125, 1.0]}))
    preprocessing = Preprocessing(size=100, margin=0)
    folder = tmp_path / "set" / "store"
    assert not write_store(
        folder, key="k", rows=rows, root=tmp_path, preprocessing=preprocessing, spec={}
    )
    store = open_store(folder)
    whole, part, square = store.pixels([0, 1, 2]).astype(int)
    np.testing.assert_array_equal(whole, square)
    expected = preprocessing(np.asarray(large)[700:900, 700:900]).astype(int)
    assert np.abs(part - expected).mean() < 4
    assert np.abs(part - whole).mean() > 20
    assert store.manifest["crop"].isna().tolist() == [True, False, False]


def test_coincident_points_quarantine_the_picture(photos, write):
    rows = photos.rows[:3].assign(**{name: np.float32(5) for name in LANDMARKS})
    rows.loc[1, list(LANDMARKS)] = np.nan
    aligned = Preprocessing(**SPEC, steps={"align": AlignFivePoints()})
    broken = write(rows=rows, preprocessing=aligned)
    assert broken == {rows["path"][row]: "the points of a face coincide" for row in (0, 2)}


def test_progress_ends_with_all(write):
    seen = []
    write(progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (40, 40)
    assert seen == sorted(seen)


# --- damage --------------------------------------------------------------------------------------


def change_pixel(folder):
    with (folder / "pixels.u8").open("r+b") as file:
        file.seek(12_345)
        byte = file.read(1)
        file.seek(12_345)
        file.write(bytes([byte[0] ^ 1]))


def cut_pixels(folder):
    os.truncate(folder / "pixels.u8", 40 * 900 - 1)


def change_label(folder):
    table = pd.read_parquet(folder / "manifest.parquet")
    table.loc[5, "gender"] = "female" if table["gender"][5] != "female" else "male"
    write_manifest(table, folder / "manifest.parquet")


def unknown_label(folder):
    table = pd.read_parquet(folder / "manifest.parquet").assign(gender="neither")
    table.to_parquet(folder / "manifest.parquet", index=False)


def swap_rows(folder):
    table = pd.read_parquet(folder / "manifest.parquet")
    write_manifest(table[::-1], folder / "manifest.parquet")


def cut_manifest(folder):
    os.truncate(folder / "manifest.parquet", 900)


def about(**changes):
    def change(folder):
        path = folder / "store.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def rewrite_about(text):
    return lambda folder: (folder / "store.json").write_text(text)


DAMAGE = {
    "pixel": change_pixel,
    "short pixels": cut_pixels,
    "no pixels": lambda folder: (folder / "pixels.u8").unlink(),
    "label": change_label,
    "unknown label": unknown_label,
    "rows": swap_rows,
    "short manifest": cut_manifest,
    "no manifest": lambda folder: (folder / "manifest.parquet").unlink(),
    "fewer pictures": about(shape=[39, 30, 30, 1]),
    "smaller pictures": about(shape=[40, 15, 30, 1]),
    "no shape": about(shape=None),
    "checksum": about(pixels="0" * 32),
    "no json": lambda folder: (folder / "store.json").unlink(),
    "empty json": rewrite_about(""),
    "half a json": rewrite_about('{"key": "k", '),
    "another json": rewrite_about("[]"),
    "json without a key": rewrite_about("{}"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed(own_store, kind):
    DAMAGE[kind](own_store)
    with pytest.raises(UserError) as caught:
        open_store(own_store)
    message = str(caught.value)
    assert str(own_store) in message
    assert "delete that folder and run again" in message
    assert "\n" not in message


def test_an_untouched_copy_opens(own_store):
    assert len(open_store(own_store)) == 40


# --- full disk -----------------------------------------------------------------------------------


def assert_full(write, tmp_path):
    with pytest.raises(UserError, match="the disk is full") as caught:
        write()
    message = str(caught.value)
    assert str(tmp_path / "set-1") in message
    assert "paths.data=FOLDER" in message
    assert "\n" not in message
    assert names_below(tmp_path / "set-1") == []


def test_a_disk_without_room_is_noticed_before_anything_is_read(write, tmp_path, monkeypatch):
    def usage(free):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    need = 40 * (900 + 87 * 87)  # stored pixels, and looks for near-duplicates
    usage(need - 1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode", lambda *_, **__: pytest.fail("decoded a picture"))
        assert_full(write, tmp_path)
    usage(need)
    assert write() == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_writing(write, tmp_path, monkeypatch):
    plain_open = Path.open

    def open_full(path, *arguments, **options):
        return plain_open(Path("/dev/full") if path.name == "pixels.u8" else path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_full)
        assert_full(write, tmp_path)
    assert write() == {}


def test_a_disk_that_fills_up_with_the_manifest(write, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "write_manifest", fail)
    assert_full(write, tmp_path)


def test_another_failure_keeps_its_own_message(write, tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(errno.EACCES, "not yours")

    monkeypatch.setattr(module, "write_manifest", fail)
    with pytest.raises(PermissionError, match="not yours"):
        write()
    assert names_below(tmp_path / "set-1") == []


# --- kills and rivals ----------------------------------------------------------------------------


def run_in_child(*targets):
    children = [FORK.Process(target=target) for target in targets]
    for child in children:
        child.start()
    for child in children:
        child.join(30)
        if child.is_alive():
            child.kill()
            child.join()
    return children


def test_a_kill_leaves_no_store_and_the_next_run_clears_up(write, tmp_path):
    def killed():
        write(progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    (child,) = run_in_child(killed)
    assert child.exitcode == -signal.SIGKILL
    assert names_below(tmp_path / "set-1") == [partial_name(child.pid)]
    assert write() == {}
    assert names_below(tmp_path / "set-1") == ["store"]
    assert len(open_store(tmp_path / "set-1" / "store")) == 40


def test_an_exception_leaves_nothing(write, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(progress=stop)
    assert names_below(tmp_path / "set-1") == []


@pytest.mark.parametrize(("process", "stays"), [(os.getppid, True), (os.getpid, False)])
def test_the_partial_folder_of_a_process_at_work_is_left_alone(write, tmp_path, process, stays):
    """One of this very number is an earlier process's: in containers numbers come again."""
    partial = tmp_path / "set-1" / partial_name(process())
    partial.mkdir(parents=True)
    (partial / "pixels.u8").write_bytes(b"half")
    assert write() == {}
    assert names_below(tmp_path / "set-1") == [partial.name] * stays + ["store"]


def test_two_processes_that_write_the_same_store_both_end_well(write, tmp_path):
    barrier = FORK.Barrier(2, timeout=20)
    met = []

    def meet(*_):
        if not met:
            met.append(True)
            barrier.wait()

    def one():
        write(progress=meet)
        assert len(open_store(tmp_path / "set-1" / "store")) == 40

    assert [child.exitcode for child in run_in_child(one, one)] == [0, 0]
    assert names_below(tmp_path / "set-1") == ["store"]
    assert len(open_store(tmp_path / "set-1" / "store")) == 40


# --- memory --------------------------------------------------------------------------------------


def test_a_pickled_store_carries_no_pixels(store):
    fresh = pickle.dumps(Store(store.folder))
    used = Store(store.folder)
    expected = used.pixels(slice(None))
    carried = pickle.dumps(used)
    assert len(carried) < len(fresh) + 200
    assert len(carried) < 20_000 < expected.nbytes
    np.testing.assert_array_equal(pickle.loads(carried).pixels(slice(None)), expected)


RESIDENT = """
import sys
from pathlib import Path
import numpy as np
from facialnet.data.store import Store

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

store = Store(Path(sys.argv[1]))
before, most = resident(), 0
for first in range(0, len(store), 100):
    assert store.pixels(np.arange(first, first + 100)).shape == (100, 100, 100, 1)
    most = max(most, resident() - before)
print(most)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_stays_flat_while_a_large_store_is_read(photos, tmp_path):
    count = 16_000  # 160 MB, all holes
    rows = as_manifest(pd.DataFrame({"path": [f"{i}.jpg" for i in range(count)]}))
    write_manifest(rows, tmp_path / "manifest.parquet")
    with (tmp_path / "pixels.u8").open("wb") as file:
        file.truncate(count * 10_000)
    facts = {"key": "k", "shape": [count, 100, 100, 1], "manifest": manifest_hash(rows)}
    (tmp_path / "store.json").write_text(json.dumps(facts))
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) < 64


def test_a_store_may_be_moved_as_a_whole(own_store):
    moved = own_store.with_name("elsewhere")
    shutil.move(own_store, moved)
    assert open_store(moved).pixels([0]).shape == (1, 30, 30, 1)


def test_near_duplicates_do_not_depend_on_the_preprocessing(own_photos, tmp_path):
    rows = own_photos.rows
    for number in range(5):  # each copied at another quality, in place of another picture
        original, copy = rows["path"][2 * number], rows["path"][2 * number + 1]
        with Image.open(own_photos.root / original) as picture:
            picture.save(own_photos.root / copy, quality=60)
    found = []
    for number, spec in enumerate(
        ({"size": 24, "margin": 3}, {"size": 60, "margin": 0, "channels": 3}, {"size": 8})
    ):
        folder = tmp_path / f"photos-{number}" / "store"
        write_store(
            folder,
            key="0" * 32,
            rows=rows,
            root=own_photos.root,
            preprocessing=Preprocessing(**spec),
            spec=spec,
        )
        found.append(open_store(folder).manifest)
        assert sorted(path.name for path in folder.iterdir()) == [
            "manifest.parquet",
            "pixels.u8",
            "store.json",
        ]
    assert found[0]["lookalike"].notna().sum() >= 10
    pd.testing.assert_frame_equal(found[0], found[1])
    pd.testing.assert_frame_equal(found[0], found[2])


def test_columns_in_another_order_are_the_same_store(photos, write, tmp_path):
    rows = photos.rows.assign(crop=np.float32(0.5))
    rows = rows.assign(**dict.fromkeys(LANDMARKS, np.float32(3)))  # behind the crop, as found later
    write(rows=rows)
    store = open_store(tmp_path / "set-1" / "store")
    pd.testing.assert_frame_equal(without_fingerprints(store), as_manifest(rows))
