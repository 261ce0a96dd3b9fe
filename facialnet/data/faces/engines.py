"""What runs a detector's network: OpenCV, which is always there, or ONNX Runtime."""

import threading
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.errors import UserError

Floats = NDArray[np.float32]


class Engine(Protocol):
    """A loaded network; may be called by several threads at once."""

    def __call__(self, blob: Floats) -> list[Floats]:
        """Return the outputs that the engine was made for, of float32 [N, C, H, W]."""
        ...


class OpenCVEngine:
    """OpenCV's own dnn module.

    Args:
        model: bytes of an ONNX file.
        outputs: names of the outputs wanted.
    """

    def __init__(self, model: bytes, outputs: Sequence[str]) -> None:
        self._model = np.frombuffer(model, np.uint8)
        self._outputs = list(outputs)
        self._of_thread = threading.local()  # one network serves one thread only

    def __call__(self, blob: Floats) -> list[Floats]:
        """Return the outputs."""
        net: Any = getattr(self._of_thread, "net", None)
        if net is None:
            net = self._of_thread.net = cv2.dnn.readNetFromONNX(self._model)
        net.setInput(blob)
        return [np.asarray(output, np.float32) for output in net.forward(self._outputs)]


class OnnxRuntimeEngine:
    """ONNX Runtime, one thread for each call: faster than OpenCV, where it is installed.

    Args and result as for OpenCVEngine. Raises UserError where it is not installed.
    """

    def __init__(self, model: bytes, outputs: Sequence[str]) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "this engine needs onnxruntime: pip install 'facialnet[export]', or leave the "
                "detector's engine out"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # patterns are kept for every size of picture that comes along, and never given back
        options.enable_mem_pattern = False
        self._outputs = list(outputs)
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, blob: Floats) -> list[Floats]:
        """Return the outputs."""
        return list(self._session.run(self._outputs, {self._input: blob}))


def fastest_engine(model: bytes, outputs: Sequence[str]) -> Engine:
    """Return ONNX Runtime's engine where it is installed, otherwise OpenCV's."""
    try:
        return OnnxRuntimeEngine(model, outputs)
    except UserError:
        return OpenCVEngine(model, outputs)
