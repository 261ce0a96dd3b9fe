import re

import numpy as np
import pytest
from PIL import Image
from tiny_checkpoint import write_checkpoint

from facialnet.data.faces.face import Face
from facialnet.explanation.explainer import Explainer
from facialnet.inference.app.photo_answer import PhotoDesk
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.inference.predictor import Predictor
from facialnet.training.checkpoint import read_checkpoint


def two_faces(images):
    """A stand-in for a detector: two faces in every picture that is not black."""
    boxes = [(10.0, 10.0, 60.0, 60.0), (90.0, 20.0, 40.0, 40.0)]
    return [[Face(box, 0.9, None) for box in boxes] if image.any() else [] for image in images]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return read_checkpoint(write_checkpoint(tmp_path_factory.mktemp("app") / "tiny.ckpt"))


@pytest.fixture
def desk(checkpoint, tmp_path):
    predictor = Predictor(CheckpointNetwork(checkpoint), detector=two_faces, threshold=0.99)
    return PhotoDesk(predictor, None, tmp_path)


def photo(folder, name="photo.png", *, value=None):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (100, 150, 3), np.uint8)
    Image.fromarray(pixels if value is None else np.full_like(pixels, value)).save(folder / name)
    return str(folder / name)


def test_every_face_gets_a_box_and_the_probabilities_of_every_class(desk, checkpoint, tmp_path):
    (said,) = desk.answer(photo(tmp_path))
    assert said.count("<rect") == 2
    assert said.count('<section class="face">') == 2
    for task in checkpoint.tasks.values():
        for label in task.classes:
            assert f">{label}</span>" in said
    assert "not sure" in said
    assert "years" in said
    widths = [float(width) for width in re.findall(r"width: ([\d.]+)%", said)]
    assert sum(widths) == pytest.approx(100 * 2 * len(checkpoint.tasks), abs=2)


def test_nothing_of_a_photo_is_kept(desk, tmp_path):
    list(desk.answer(photo(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_photo_without_a_face_says_so(desk, tmp_path):
    (said,) = desk.answer(photo(tmp_path, value=0))
    assert "No face was found" in said
    assert "<rect" not in said


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0 truncated"])
def test_a_broken_file_gets_one_clear_line_and_is_deleted(desk, tmp_path, content):
    (tmp_path / "broken.jpg").write_bytes(content)
    (said,) = desk.answer(str(tmp_path / "broken.jpg"))
    assert "cannot be read" in said
    assert "<svg" not in said
    assert list(tmp_path.iterdir()) == []


def test_no_photo_no_answer(desk):
    assert list(desk.answer(None)) == [""]


def test_a_file_elsewhere_is_not_read(desk, tmp_path):
    outside = tmp_path.parent / "outside.png"
    Image.new("RGB", (100, 100), "white").save(outside)
    (said,) = desk.answer(str(outside))
    assert "no longer there" in said
    assert outside.exists()


def test_reasons_follow_the_answer(checkpoint, tmp_path):
    pytest.importorskip("captum")
    predictor = Predictor(CheckpointNetwork(checkpoint), detector=two_faces)
    explainer = Explainer(checkpoint.network(), checkpoint.tasks, methods=("gradcam",), orders=1)
    first, second = PhotoDesk(predictor, explainer, tmp_path).answer(photo(tmp_path))
    assert "Looking for reasons" in first
    assert "Looking for reasons" not in second
    assert second.count("deleting the map") == 2 * len(checkpoint.tasks)
    assert second.count("Feature maps of every convolution") == 2
