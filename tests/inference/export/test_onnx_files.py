"""ONNX files, in float32 and quantised, of a network with every kind of head."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from tiny_checkpoint import plain_card, ready, smooth_pictures

from facialnet.errors import UserError
from facialnet.inference.export import onnx_file
from facialnet.inference.export.answer import answer_all, answer_by
from facialnet.inference.export.onnx_file import need_onnx, open_onnx, write_onnx
from facialnet.inference.export.quantise import quantise_dynamic, quantise_static


@pytest.fixture(scope="module")
def reference(exported):
    return answer_all(answer_by(exported.subject.network), exported.check.pixels, 32)


@pytest.mark.parametrize("batch", [1, 3, 70])
def test_any_batch_is_answered_as_by_pytorch(exported, reference, batch):
    ours = answer_all(open_onnx(exported.folder / "tiny.onnx", 1), exported.check.pixels, batch)
    assert list(ours) == list(exported.subject.checkpoint.tasks)
    for task, values in reference.items():
        assert ours[task].dtype == np.float32
        np.testing.assert_allclose(ours[task], values, rtol=0, atol=1e-5)
        assert len(np.unique(values.argmax(1))) > 1


def test_inputs_and_outputs_have_their_names_and_types(exported):
    for name in ("tiny.onnx", "tiny.int8.onnx"):
        session = onnxruntime.InferenceSession(exported.folder / name)
        (images,) = session.get_inputs()
        assert (images.name, images.type, images.shape[1:]) == (
            "images",
            "tensor(uint8)",
            [1, 32, 32],
        )
        assert isinstance(images.shape[0], str)
        outputs = {output.name: output.shape[1] for output in session.get_outputs()}
        tasks = exported.subject.checkpoint.tasks
        assert outputs == {task: len(each.classes) for task, each in tasks.items()}
        onnx.checker.check_model(onnx.load(exported.folder / name), full_check=True)


def test_both_files_carry_the_metadata(exported):
    for name in ("tiny.onnx", "tiny.int8.onnx"):
        texts = onnxruntime.InferenceSession(exported.folder / name).get_modelmeta()
        about = {key: json.loads(text) for key, text in texts.custom_metadata_map.items()}
        assert {key: about[key] for key in exported.subject.metadata} == exported.subject.metadata


def test_int8_computes_in_whole_numbers_and_answers_nearly_alike(exported, reference):
    kinds = [node.op_type for node in onnx.load(exported.folder / "tiny.int8.onnx").graph.node]
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(kinds)
    ours = answer_all(open_onnx(exported.folder / "tiny.int8.onnx", 1), exported.check.pixels, 32)
    for task, values in reference.items():
        assert 0 < np.abs(ours[task] - values).mean() < 0.03
        assert (ours[task].argmax(1) == values.argmax(1)).mean() > 0.85


@pytest.mark.parametrize("kind", ["Relu", "Clip"])
def test_int8_spends_its_steps_on_what_the_activation_keeps(tmp_path, kind):
    """A layer whose numbers reach down to -1,000, of which nothing below 0 is kept."""
    constants = {"w": np.full((1, 1, 3, 3), -0.5, np.float32), "b": np.float32([100])}
    cut = []
    if kind == "Clip":  # as ReLU6
        constants |= {"low": np.float32(0), "high": np.float32(6)}
        cut = ["low", "high"]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Cast", ["images"], ["pixels"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Conv", ["pixels", "w", "b"], ["before"], pads=[1] * 4),
            onnx.helper.make_node(kind, ["before", *cut], ["after"]),
        ],
        "one_layer",
        [onnx.helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", 1, 16, 16])],
        [onnx.helper.make_tensor_value_info("after", onnx.TensorProto.FLOAT, ["n", 1, 16, 16])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset]), tmp_path / "float.onnx")
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (64, 1, 16, 16)) * rng.random((64, 1, 1, 1))  # darker and lighter
    faces = faces.astype(np.uint8)
    quantise_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", faces)
    float32, int8 = (
        onnxruntime.InferenceSession(tmp_path / name).run(None, {"images": faces})[0]
        for name in ("float.onnx", "int8.onnx")
    )
    step_of_all = (100 + 0.5 * 9 * 255) / 255
    assert 0 < np.abs(int8 - float32).max() < step_of_all / 4


def test_without_faces_only_dense_layers_are_quantised(exported, reference, tmp_path):
    path = tmp_path / "dynamic.onnx"
    quantise_dynamic(exported.folder / "tiny.onnx", path)
    model = onnx.load(path)
    kinds = {node.op_type for node in model.graph.node}
    assert "Conv" in kinds
    assert "MatMulInteger" in kinds
    assert not kinds & {"ConvInteger", "QuantizeLinear"}
    assert {each.key for each in model.metadata_props} >= set(exported.subject.metadata)
    ours = answer_all(open_onnx(path, 1), exported.check.pixels, 32)
    for task, values in reference.items():
        assert 0 < np.abs(ours[task] - values).mean() < 0.03
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else 1)
    with pytest.raises(UserError, match=r"need onnxscript: pip install 'facialnet\[export\]'"):
        need_onnx()


def test_int8_of_a_face_and_its_mirror_image_holds_the_weights_once(tmp_path):
    sizes = {}
    for views in ("Single", "Mirror"):
        subject = ready(tmp_path / f"{views}.ckpt", plain_card(views=views))
        write_onnx(subject, tmp_path / f"{views}.onnx")
        faces = smooth_pictures(32, subject.input_shape)
        quantise_static(tmp_path / f"{views}.onnx", tmp_path / f"{views}.int8.onnx", faces)
        model = onnx.load(tmp_path / f"{views}.int8.onnx")
        contents = [numpy_helper.to_array(each).tobytes() for each in model.graph.initializer]
        sizes[views] = sum(map(len, contents))
        long = [content for content in contents if len(content) > 64]
        assert len(set(long)) == len(long)
    assert sizes["Mirror"] < 1.5 * sizes["Single"]
