"""An exported file in place of a checkpoint: the same answers to the same faces."""

import json

import numpy as np
import onnx
import pytest
from tiny_checkpoint import plain_card, ready

from facialnet.errors import UserError
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.inference.export.onnx_file import write_onnx
from facialnet.inference.onnx_network import OnnxNetwork
from facialnet.inference.predictor import Predictor, read_network


@pytest.mark.parametrize("views", ["Single", pytest.param("TenCrop", marks=pytest.mark.slow)])
def test_it_answers_as_the_checkpoint_does(tmp_path, views):
    layout = [[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7]]
    subject = ready(tmp_path / "tiny.ckpt", plain_card(views=views, layout=layout))
    write_onnx(subject, tmp_path / "tiny.onnx")
    ours = read_network(tmp_path / "tiny.onnx")
    theirs = CheckpointNetwork.read(tmp_path / "tiny.ckpt", device="cpu")
    assert isinstance(ours, OnnxNetwork)
    for name in ("views_name", "calibrated"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert {name: task.classes for name, task in ours.tasks.items()} == {
        name: task.classes for name, task in theirs.tasks.items()
    }
    np.testing.assert_array_equal(ours.layout, theirs.layout)
    rng = np.random.default_rng(0)
    side, channels = theirs.preprocessing.stored_side, theirs.preprocessing.channels
    stored = rng.integers(0, 256, (37, side, side, channels), np.uint8)  # goes in several parts
    expected = theirs.probabilities(stored)
    for task, values in ours.probabilities(stored).items():
        np.testing.assert_allclose(values, expected[task], atol=1e-5)
    picture = rng.integers(0, 256, (90, 120, 3), np.uint8)
    one, other = (
        Predictor(network, detector=None).predict(picture)[0].faces[0] for network in (ours, theirs)
    )
    for task in theirs.tasks:
        assert one[task].label == other[task].label
        assert one[task].expected_years == pytest.approx(other[task].expected_years, abs=1e-3)


def test_every_coding_answers_as_in_the_export(exported):
    path = exported.folder / "tiny.onnx"
    ours = OnnxNetwork(path)
    theirs = CheckpointNetwork(exported.subject.checkpoint, device="cpu")
    side = theirs.preprocessing.stored_side
    stored = np.random.default_rng(1).integers(
        0, 256, (3, side, side, theirs.preprocessing.channels), np.uint8
    )
    expected = theirs.probabilities(stored)
    for task, values in ours.probabilities(stored).items():
        np.testing.assert_allclose(values, expected[task], atol=1e-5)


def test_what_a_file_cannot_do_is_one_line(exported, tmp_path):
    path = exported.folder / "tiny.onnx"
    with pytest.raises(UserError, match="ONNX files are answered by the processor"):
        read_network(path, device="cuda")
    with pytest.raises(UserError, match=r"--views ten_crop: tiny\.onnx has views="):
        read_network(path, views="ten_crop")
    with pytest.raises(UserError, match="there is no file"):
        read_network(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UserError, match="damaged or not an ONNX file"):
        read_network(tmp_path / "broken.onnx")


@pytest.mark.parametrize(
    "change", [None, {"tasks": {"gender": {"classes": ["a", "b"]}}}, {"views": {"name": "Odd"}}]
)
def test_a_file_of_somebody_else_is_refused(exported, tmp_path, change):
    model = onnx.load(exported.folder / "tiny.onnx")
    for entry in list(model.metadata_props):
        if change is None:
            model.metadata_props.remove(entry)
        elif entry.key in change:
            entry.value = json.dumps(change[entry.key])
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="was not exported by this version of facialnet"):
        read_network(tmp_path / "other.onnx")
