"""An exported ONNX file, run by ONNX Runtime: faster than PyTorch on a processor."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.errors import UserError, gist
from facialnet.inference.checkpoint_network import VIEWS
from facialnet.inference.network import Pixels, Probabilities, TrainedNetwork
from facialnet.labels import Task

SUFFIX = ".onnx"
# Faces that one thread takes through the network at a time: what is between its layers stays in the
# processor's cache.
_TOGETHER = 16
_VIEWS = {type(make()).__name__: name for name, make in VIEWS.items()}


class OnnxNetwork(TrainedNetwork):
    """The network of a file that ``facialnet.export`` wrote; views and calibration are in it.

    Args:
        path: the file.

    Raises UserError where the file is missing, damaged or not facialnet's, or ONNX Runtime is not
    installed.
    """

    def __init__(self, path: Path) -> None:
        self._session = _session(path)
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="network")
        texts = self._session.get_modelmeta().custom_metadata_map
        try:
            about: dict[str, Any] = {name: json.loads(text) for name, text in texts.items()}
            tasks = {
                name: Task(
                    name=name,
                    column=facts["column"],
                    classes=tuple(facts["classes"]),
                    ordinal=facts["ordinal"],
                )
                for name, facts in about["tasks"].items()
            }
            calibration = about["calibration"]
            super().__init__(
                path=path,
                tasks=tasks,
                preprocessing=preprocessing_from_plain(about["preprocess"]),
                layout=about["layout"],
                views_name=_VIEWS[about["views"]["name"]],
                calibrated=all(name in calibration for name in tasks),
            )
            self._cuts_views = bool(about["input"]["margin"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path.absolute()} was not exported by this version of facialnet (its metadata: "
                f"{gist(error)[:80]}); make it anew: python -m facialnet.export CHECKPOINT"
            ) from error

    def probabilities(self, stored: Pixels) -> Probabilities:
        """Return each task's probabilities; see TrainedNetwork."""
        if not self._cuts_views:
            stored = self.preprocessing.network_view(stored)
        images = np.ascontiguousarray(stored.transpose(0, 3, 1, 2))
        parts = [images[at : at + _TOGETHER] for at in range(0, len(images), _TOGETHER)]
        found = zip(*self._threads.map(self._run, parts), strict=True)
        return {
            name: np.concatenate(values).astype(np.float64)
            for name, values in zip(self.tasks, found, strict=True)
        }

    def _run(self, images: Pixels) -> list[NDArray[np.float32]]:
        return list(self._session.run(list(self.tasks), {"images": images}))


def _session(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no file {path.absolute()}")
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"{path.name} needs onnxruntime: pip install 'facialnet[export]', or name the "
            "checkpoint that it was made of"
        ) from None
    options = onnxruntime.SessionOptions()
    # parts of a batch go side by side instead: threads that share one wait for each other at every
    # layer, and more so while others decode and detect
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # what is wrong is said below
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each kind, without a common one
        raise UserError(
            f"{path.absolute()} cannot be read: it is damaged or not an ONNX file "
            f"({gist(error)[:80]})"
        ) from error
