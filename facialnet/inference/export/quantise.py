"""ONNX files with whole numbers of eight bits in place of float32."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facialnet.inference.export.onnx_file import need_onnx

# Where nearly all the arithmetic is; what is between costs more to convert than it saves.
_LAYERS = ["Conv", "Gemm", "MatMul"]
# Taken together with the layer before them, whose numbers would otherwise be spread over the range
# before the cut: 256 steps over -40..40 leave few for the 0..6 that ReLU6 keeps.
_CUTS = ["Relu", "Clip"]
_BATCH = 32


def quantise_static(source: Path, path: Path, faces: NDArray[np.uint8]) -> None:
    """Write an ONNX file whose layers take and hold eight bits (Jacob et al. 2018, section 2).

    Weights are scaled channel by channel to signed numbers; activations to unsigned ones, by the
    range that they have on the given faces. Weights use seven of the eight bits, since processors
    without VNNI add pairs of products in sixteen bits, which eight could overflow.

    Args:
        source: ONNX file in float32; its metadata are kept.
        path: the file to write.
        faces: pictures as the graph takes them, uint8 [N, C, H, W], not those that it is tested on.
    """
    need_onnx()
    from onnxruntime import quantization

    model = _folded(source)
    with _quiet():
        quantization.quantize_static(
            model,
            path,
            _Faces(faces),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*_LAYERS, *_CUTS],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
    _finish(source, path)


def quantise_dynamic(source: Path, path: Path) -> None:
    """Write an ONNX file whose dense layers hold eight bits, activations scaled as they come.

    It needs no faces. Convolutions stay as they are: without known ranges they become slower.
    """
    need_onnx()
    from onnxruntime import quantization

    model = _folded(source)
    with _quiet():
        quantization.quantize_dynamic(
            model,
            path,
            nodes_to_exclude=_with_one_output(model),
            op_types_to_quantize=["Gemm", "MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
        )
    _finish(source, path)


class _Faces:
    """Hands out faces batch by batch, as onnxruntime's calibration asks for them."""

    def __init__(self, faces: NDArray[np.uint8]) -> None:
        self._batches: Iterator[NDArray[np.uint8]] = iter(
            [faces[start : start + _BATCH] for start in range(0, len(faces), _BATCH)]
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _folded(source: Path) -> Any:
    """Return the graph with norms folded into convolutions and shapes inferred."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = source.with_name(f"{source.name}.folded")
    try:
        quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
        return onnx.load(folded)
    finally:
        folded.unlink(missing_ok=True)


def _with_one_output(model: Any) -> list[str]:
    """Return the names of dense layers with one output, such as CORAL's.

    There is nothing to gain in them, and onnxruntime 1.32 would take several thresholds that are
    added to their output for biases, and fail.
    """
    weights = {each.name: list(each.dims) for each in model.graph.initializer}
    names = [
        node.name
        for node in model.graph.node
        if node.op_type in ("Gemm", "MatMul") and 1 in weights.get(node.input[1], [])
    ]
    # what onnxruntime calls them after it has made matrix products of all dense layers
    return [*names, *(f"{name}_MatMul" for name in names)]


def _finish(source: Path, path: Path) -> None:
    """Keep the source's metadata, and each tensor once."""
    import onnx

    known = {each.key: each.value for each in onnx.load(source).metadata_props}
    model = onnx.load(path)
    onnx.helper.set_model_props(model, known)
    _merge_equal_tensors(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _merge_equal_tensors(model: Any) -> None:
    """Let layers share their weights again: folding norms gives each view of a face its own."""
    from onnx import numpy_helper

    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    same: dict[str, str] = {}
    for tensor in list(model.graph.initializer):
        content = numpy_helper.to_array(tensor).tobytes()
        kept = first.setdefault((tensor.data_type, tuple(tensor.dims), content), tensor.name)
        if kept != tensor.name:
            same[tensor.name] = kept
            model.graph.initializer.remove(tensor)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnxruntime's advice, which is about steps that are taken already, off the terminal."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
