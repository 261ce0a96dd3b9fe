"""Writing and running ONNX files."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import Dim

from facialnet.errors import UserError
from facialnet.inference.export.answer import Answer
from facialnet.inference.export.exportable import Exportable

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def need_onnx() -> None:
    """Raise UserError where the packages for ONNX are not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX files need {', '.join(missing)}: pip install 'facialnet[export]', or choose "
            "--format torch or safetensors"
        )


def write_onnx(exportable: Exportable, path: Path) -> None:
    """Write the graph with a dynamic batch: ``images`` in, one output of each task's name.

    Metadata are texts of JSON; see ``exportable.metadata_of``. Weights are in the file itself,
    which may have up to 2 GB.
    """
    need_onnx()
    program = torch.onnx.export(
        exportable.network,
        (exportable.example(),),
        dynamo=True,
        input_names=["images"],
        output_names=list(exportable.metadata["tasks"]),
        dynamic_shapes={"images": {0: Dim("batch")}},
        external_data=False,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(as_texts(exportable.metadata))
    program.save(path)


def as_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return metadata as ONNX holds them: names to texts, here of JSON."""
    return {name: json.dumps(value) for name, value in metadata.items()}


def open_onnx(path: Path, threads: int) -> Answer:
    """Return what answers pictures by an ONNX file, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that go on spinning after an answer would take time from whatever is measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def answer(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return dict(zip(names, session.run(names, {"images": images}), strict=True))

    return answer
