import math
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from facialnet.data import landmarks as module
from facialnet.data.faces.face import Face
from facialnet.data.faces.framing import POINTS_IN_BOX
from facialnet.data.faces.given import GivenFaces
from facialnet.data.landmark_cache import LandmarkCache
from facialnet.data.landmarks import NO_FACE, FaceSearch, mark_faces
from facialnet.data.manifest import LANDMARKS, as_manifest

COLUMNS = list(LANDMARKS)


class Blobs:
    """Finds bright rectangles on black; its points are five places in each."""

    def __init__(self):
        self.searched = []

    def __call__(self, images):
        self.searched += [image.shape for image in images]
        return [self._faces(image) for image in images]

    def _faces(self, image):
        assert image.ndim == 3
        _, _, boxes, _ = cv2.connectedComponentsWithStats((image[..., 0] > 128).astype(np.uint8))
        faces = []
        for x, y, width, height, _ in boxes[1:].tolist():
            points = np.array([x, y]) + POINTS_IN_BOX * [width, height]
            faces.append(Face((x, y, width, height), 0.9, points.astype(np.float32)))
        return sorted(faces, key=lambda face: -face.area)


def picture(path, *boxes, size=(120, 80), quality=95, **save):
    pixels = np.zeros((*size[::-1], 3), np.uint8)
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = 255
    Image.fromarray(pixels).save(path, quality=quality, **save)


def points_in(box):
    return np.array(box[:2]) + POINTS_IN_BOX * np.array(box[2:])


@pytest.fixture
def raw(tmp_path):
    """One face, two faces, none, and a broken file."""
    root = tmp_path / "raw"
    root.mkdir()
    picture(root / "one.png", (40, 20, 30, 40))
    picture(root / "two.png", (0, 0, 12, 12), (44, 20, 30, 40))
    picture(root / "none.png")
    (root / "broken.png").write_bytes(b"<html>")
    return root


def manifest(*paths, **columns):
    table = as_manifest(pd.DataFrame({"path": list(paths), **columns}))
    if "dropped" not in table:
        table["dropped"] = pd.Series(pd.NA, index=table.index, dtype="str")
    return table


@pytest.fixture
def mark(raw, tmp_path):
    def call(table, detector=None, root=raw, settings=None, **more):
        detector = Blobs() if detector is None else detector
        stamps = {}
        for index, path in table["path"].items():
            if (root / path).exists():
                stat = (root / path).stat()
                stamps[index] = (stat.st_size, stat.st_mtime_ns)
        search = FaceSearch(detector, settings or {"is": "blobs"})
        mark_faces(table, stamps, root, search, folder=tmp_path / "prepared", name="set", **more)
        return detector

    return call


def found(table, row):
    return table.loc[row, COLUMNS].to_numpy(np.float64).reshape(5, 2)


def test_every_picture_gets_the_points_of_its_main_face_or_is_dropped(mark):
    table = manifest("none.png", "two.png", "broken.png", "one.png")
    mark(table)
    assert table["dropped"].tolist()[0] == NO_FACE
    assert table["dropped"].isna().tolist() == [False, True, True, True]
    np.testing.assert_allclose(found(table, 1), points_in((44, 20, 30, 40)), atol=0.01)
    np.testing.assert_allclose(found(table, 3), points_in((40, 20, 30, 40)), atol=0.01)
    assert np.isnan(found(table, 2)).all()  # writing the store will say what is wrong with it
    assert set(table[COLUMNS].dtypes.astype(str)) == {"float32"}


def test_dropped_rows_are_left_alone_and_given_points_kept(mark):
    own = dict(zip(COLUMNS, np.arange(10.0), strict=True))
    table = manifest("one.png", "none.png", "two.png", **{name: own[name] for name in COLUMNS})
    table.loc[2, "dropped"] = "no label"
    table.loc[1, COLUMNS[4]] = np.nan  # one of five is unknown
    detector = mark(table)
    assert len(detector.searched) == 1
    np.testing.assert_array_equal(found(table, 0).reshape(-1), np.arange(10))
    assert table["dropped"].tolist()[1:] == [NO_FACE, "no label"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_are_those_of_the_upright_picture(raw, mark, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(raw / "turned.jpg", (10, 15, 60, 30), size=(200, 120), exif=exif)
    with Image.open(raw / "turned.jpg") as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("L"))
    rows, columns = np.nonzero(upright > 128)
    table = manifest("turned.jpg")
    mark(table)
    size = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert sorted(size) == pytest.approx([30, 60], abs=2)
    box = (columns.min(), rows.min(), *size)
    np.testing.assert_allclose(found(table, 0), points_in(box), atol=1)


def test_points_are_in_pixels_of_a_large_picture_that_was_decoded_smaller(raw, mark):
    box = (2400, 1600, 800, 1000)
    picture(raw / "large.jpg", box, size=(5200, 4400), quality=60)
    table = manifest("large.jpg")
    detector = mark(table)
    assert min(detector.searched[0][:2]) < 2300
    np.testing.assert_allclose(found(table, 0), points_in(box), atol=6)


def test_progress_and_announcement(mark):
    seen, said = [], []
    names = ("one.png", "two.png", "none.png", "broken.png")
    mark(manifest(*names), progress=lambda *n: seen.append(n), announce=said.append)
    assert seen[-1] == (4, 4)
    assert said == ["finding the faces in 4 pictures of set"]


# --- what is kept on disk ------------------------------------------------------------------------


def test_no_file_is_searched_twice(raw, mark, tmp_path):
    first = manifest("one.png", "none.png", "broken.png")
    assert len(mark(first).searched) == 2
    picture(raw / "none.png", (30, 30, 20, 20))  # changed
    said = []
    second = manifest("two.png", "one.png", "none.png")
    assert len(mark(second, announce=said.append).searched) == 2
    assert said == ["finding the faces in 2 pictures of set"]
    np.testing.assert_array_equal(found(second, 1), found(first, 0))
    np.testing.assert_allclose(found(second, 2), points_in((30, 30, 20, 20)), atol=0.01)
    assert second["dropped"].isna().all()
    again = manifest("none.png", "two.png", "one.png")
    assert mark(again).searched == []
    pd.testing.assert_frame_equal(
        again.iloc[[2]][COLUMNS].reset_index(drop=True), first.iloc[[0]][COLUMNS]
    )
    assert len(list((tmp_path / "prepared").iterdir())) == 1


def test_other_settings_and_other_folders_search_anew(raw, mark, tmp_path):
    mark(manifest("one.png"))
    assert len(mark(manifest("one.png"), settings={"is": "other"}).searched) == 1
    raw.rename(tmp_path / "moved")
    assert len(mark(manifest("one.png"), root=tmp_path / "moved").searched) == 1
    assert mark(manifest("one.png"), root=tmp_path / "moved").searched == []


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_cache_is_made_anew(mark, tmp_path, content):
    mark(manifest("one.png"))
    (cache,) = (tmp_path / "prepared").iterdir()
    cache.write_bytes(content)
    assert len(mark(manifest("one.png")).searched) == 1
    assert mark(manifest("one.png")).searched == []


def test_a_cache_without_what_is_needed_begins_empty(tmp_path):
    pd.DataFrame({"path": ["a"], "size": [1]}).to_parquet(tmp_path / "c.parquet")
    assert LandmarkCache(tmp_path / "c.parquet").get("a", (1, 2)) is None


def test_what_was_found_before_an_interruption_is_kept(mark, raw, monkeypatch):
    class Interrupted(Blobs):
        def __call__(self, images):
            if len(self.searched) >= 8:
                raise KeyboardInterrupt
            return super().__call__(images)

    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)
    names = [f"{number}.png" for number in range(20)]
    for name in names:
        picture(raw / name, (40, 20, 30, 40))
    with pytest.raises(KeyboardInterrupt):
        mark(manifest(*names), Interrupted())
    assert len(mark(manifest(*names)).searched) == 12


KILLED = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_landmarks import Blobs, manifest
from facialnet.data import landmarks
from facialnet.data.landmarks import FaceSearch, mark_faces
landmarks._SAVED_EVERY, landmarks._CHUNK = 2, 1
class Slow(Blobs):
    def __call__(self, images):
        os.write(1, b"searching\\n")  # in one piece, since several threads do
        return super().__call__(images)
root = Path({root!r})
table = manifest(*sorted(p.name for p in root.iterdir()))
stamps = {{i: ((root / p).stat().st_size, (root / p).stat().st_mtime_ns)
          for i, p in table["path"].items()}}
while True:  # until it is killed, whatever it is doing just then
    mark_faces(table.copy(), stamps, root, FaceSearch(Slow(), {{"is": str(time.time_ns() % 7)}}),
               folder=Path({folder!r}), name="set")
"""


@pytest.mark.slow
def test_a_kill_leaves_whole_files(raw, tmp_path):
    (raw / "broken.png").unlink()
    for number in range(30):
        picture(raw / f"{number}.png", (40, 20, 30, 40))
    folder = tmp_path / "prepared"
    code = KILLED.format(tests=str(Path(__file__).parent), root=str(raw), folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(45):  # the first file is searched to its end, and another begun
        assert process.stdout.readline() == "searching\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    for path in folder.glob("*.parquet"):
        table = pd.read_parquet(path)
        assert 0 < len(table) <= 33
        assert set(table.columns) == {"path", "size", "time", *COLUMNS}
    assert list(folder.glob("*.parquet"))


# --- faces of one's own --------------------------------------------------------------------------


def test_given_faces_take_the_detectors_place(raw, mark, tmp_path):
    csv = tmp_path / "boxes.csv"
    csv.write_text("path,x,y,width,height\none.png,1,2,30,40\none.png,50,2,10,40\n")
    table = manifest("one.png", "two.png")
    mark(table, GivenFaces(csv=csv, root=raw))
    np.testing.assert_allclose(found(table, 0), points_in((1, 2, 30, 40)), atol=1e-4)
    assert table["dropped"].tolist()[1] == NO_FACE
    assert not (tmp_path / "prepared").exists()


def test_drawn_faces(retinaface, drawn_root, tmp_path, mark):
    paths = [path.relative_to(drawn_root).as_posix() for path in drawn_root.rglob("*.jpg")]
    table = manifest(*sorted(paths)[:20])
    mark(table, retinaface, root=drawn_root)
    known = [row for row in table.index if not np.isnan(found(table, row)).any()]
    assert len(known) >= 16
    for row in known:
        eyes = found(table, row)[:2]
        assert 10 < math.dist(*eyes) < 80
