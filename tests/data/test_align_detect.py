"""Preparation with data.align=detect, from the raw files to the store."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_landmarks import COLUMNS, Blobs, picture, points_in
from test_preparation import HandWritten

from facialnet.data import preparation as module
from facialnet.data.fingerprints import content_hash
from facialnet.data.landmarks import FaceSearch
from facialnet.data.manifest import as_manifest
from facialnet.data.preparation import prepare
from facialnet.data.sources.joint import JointSource
from facialnet.data.transforms import AlignFivePoints, Preprocessing
from facialnet.errors import UserError

SPEC = {"size": 40, "margin": 5, "align": {"zoom": 0.8}}
ALIGNED = Preprocessing(size=40, margin=5, steps={"align": AlignFivePoints(0.8)})
BOX = (40, 20, 30, 40)


@pytest.fixture
def source(tmp_path):
    """Five pictures: three faces, nothing, and a broken file."""
    root = tmp_path / "raw"
    root.mkdir()
    for name, boxes in {
        "a": [BOX],
        "b": [(80, 30, 30, 40)],
        "c": [],
        "d": [(10, 30, 60, 80)],
    }.items():
        picture(root / f"{name}.png", *boxes, size=(140, 140))
    (root / "e.png").write_bytes(b"<html>")
    names = [f"{name}.png" for name in "abcde"]
    genders = ["male", "female", "female", "male", "male"]
    rows = pd.DataFrame({"path": names, "subject": names, "gender": genders})
    return HandWritten(root, rows)


@pytest.fixture
def run(source, tmp_path):
    def call(detector=None, settings=None, **changes):
        search = FaceSearch(detector or Blobs(), settings or {"is": "blobs"})
        arguments = {"spec": SPEC, "folder": tmp_path / "prepared", "search": search} | changes
        chosen = arguments.pop("source", source)
        return prepare(chosen, arguments.pop("preprocessing", ALIGNED), **arguments)

    return call


def test_faces_are_aligned_and_pictures_without_one_left_out(run, source):
    prepared = run()
    store, audit = prepared.store, prepared.audit
    assert store.manifest["path"].tolist() == ["a.png", "b.png", "d.png"]
    assert audit["dropped"] == {"no face": 1, "unreadable": 1}
    assert (audit["no_face"], audit["no_face_files"]) == (1, ["c.png"])
    assert audit["unreadable_files"] == {"e.png": "not a picture"}
    assert audit["kept_counts"]["gender"] == {"male": 2, "female": 1}
    assert json.loads(prepared.audit_path.read_text()) == audit
    points = store.manifest[COLUMNS].to_numpy().reshape(-1, 5, 2)
    np.testing.assert_allclose(points[0], points_in(BOX), atol=0.01)
    first, second, _ = store.pixels([0, 1, 2]).astype(int)
    assert np.abs(first - second).mean() < 1  # the same face at two places
    pixels = np.zeros((140, 140), np.uint8)
    pixels[20:60, 40:70] = 255
    expected = ALIGNED(pixels, points_in(BOX).astype(np.float32))
    np.testing.assert_array_equal(first, expected)


def test_a_second_start_detects_nothing_and_decodes_nothing(run, monkeypatch):
    first = run()
    detector = Blobs()
    for name in ("write_store", "mark_faces"):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done again"))
    second = run(detector)
    assert second.store.folder == first.store.folder
    assert second.audit == first.audit
    assert detector.searched == []


def test_other_pixels_of_the_same_pictures_detect_nothing(run):
    first = run()
    detector = Blobs()
    wider = Preprocessing(size=40, margin=5, steps={"align": AlignFivePoints(0.6)})
    second = run(detector, preprocessing=wider, spec=SPEC | {"align": {"zoom": 0.6}})
    assert detector.searched == []
    assert second.store.key != first.store.key
    assert second.store.manifest[COLUMNS].equals(first.store.manifest[COLUMNS])
    assert (second.store.pixels([0]) != first.store.pixels([0])).any()


def test_the_key_follows_the_search(run):
    keys = {run().store.key, run(settings={"is": "other"}).store.key, run(search=None).store.key}
    assert len(keys) == 3
    assert len(run(search=None).store) == 4  # only the broken file is missing


def test_a_store_that_was_lost_is_written_from_what_is_known(run):
    prepared = run()
    shutil.rmtree(prepared.store.folder)
    detector = Blobs()
    again = run(detector)
    assert detector.searched == []
    assert again.audit == prepared.audit
    assert again.store.digest == prepared.store.digest


def test_an_audit_alone_counts_the_faces_too(run):
    prepared = run(audit_only=True)
    assert prepared.store is None
    assert prepared.audit["no_face_files"] == ["c.png"]
    assert prepared.manifest["path"].tolist() == ["a.png", "b.png", "d.png"]


def test_excluded_pictures_are_not_searched(run, tmp_path):
    content = content_hash(tmp_path / "raw" / "a.png")
    (tmp_path / "list.csv").write_text(f"path,content,reason\na.png,{content},not a face\n")
    detector = Blobs()
    audit = run(detector, exclude=tmp_path / "list.csv").audit
    assert len(detector.searched) == 3
    assert audit["dropped"] == {"excluded": 1, "no face": 1, "unreadable": 1}


def test_no_face_at_all_is_an_error_that_names_the_audit(run, source):
    for path in source.root.iterdir():
        picture(path, size=(50, 50))
    with pytest.raises(UserError, match=r"no usable picture in .*raw; see .*audit\.json"):
        run()


def test_work_is_announced_and_both_bars_end(run):
    said, seen, searched = [], [], []
    run(
        announce=said.append,
        progress=lambda *counts: seen.append(counts),
        search_progress=lambda *counts: searched.append(counts),
    )
    assert [text.split(" pictures")[0] for text in said[:2]] == [
        "finding the faces in 5",
        "preparing 4",
    ]
    assert (searched[-1], seen[-1]) == ((5, 5), (4, 4))


# --- data sets together --------------------------------------------------------------------------


class Part:
    def __init__(self, root: Path, name: str, rows: pd.DataFrame) -> None:
        self.root, self.name, self.rows = root, name, rows

    def read(self):
        reading = HandWritten(self.root, as_manifest(self.rows.assign(source=self.name))).read()
        return replace(reading, name=self.name)


def test_joint_data_sets_are_searched_together_and_marked_pictures_keep_theirs(run, tmp_path):
    for name in ("raw1", "raw2"):
        (tmp_path / name).mkdir()
    picture(tmp_path / "raw1" / "a.png", BOX, size=(140, 140))
    picture(tmp_path / "raw2" / "a.png", (60, 50, 60, 80), size=(140, 140))
    own = dict(zip(COLUMNS, points_in((60, 50, 60, 80)).reshape(-1), strict=True))
    rows = pd.DataFrame({"path": ["a.png"], "gender": ["male"]})
    parts = {
        "one": {"source": Part(tmp_path / "raw1", "one", rows), "crop": 0.3},
        "two": {"source": Part(tmp_path / "raw2", "two", rows.assign(**own))},
    }
    detector = Blobs()
    store = run(detector, source=JointSource(parts=parts)).store
    assert len(detector.searched) == 1
    assert store.manifest["path"].tolist() == ["raw1/a.png", "raw2/a.png"]
    first, second = store.pixels([0, 1]).astype(int)
    # a crop to 30 % would have cut the first face's surroundings off and mirrored what is left
    assert np.abs(first - second).mean() < 6


def test_real_detector_on_drawn_photos(retinaface, drawn_root, tmp_path):
    paths = sorted(path.relative_to(drawn_root).as_posix() for path in drawn_root.rglob("*.jpg"))
    rows = pd.DataFrame({"path": paths[:24], "gender": "female"})
    search = FaceSearch(retinaface, {"is": "retinaface"})
    prepared = prepare(
        HandWritten(drawn_root, rows), ALIGNED, spec=SPEC, folder=tmp_path, search=search
    )
    assert len(prepared.store) >= 18
    side = ALIGNED.stored_side
    again = retinaface([image[..., 0] for image in prepared.store.pixels(slice(0, 18))])
    points = np.array([faces[0].points for faces in again if faces]) / side
    np.testing.assert_allclose(np.median(points, 0), ALIGNED.aligned_layout, atol=0.05)
