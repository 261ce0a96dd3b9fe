"""Writing and running programs of torch.export."""

import json
import warnings
from pathlib import Path

import torch
from torch.export import Dim

from facialnet.inference.export.answer import Answer, answer_by
from facialnet.inference.export.exportable import Exportable

METADATA = "metadata.json"  # of the extra files in the archive


def write_program(exportable: Exportable, path: Path) -> None:
    """Write the graph as a program that ``torch.export.load`` reads without facialnet.

    The batch is dynamic; ``metadata.json`` among its extra files says what ONNX's metadata say.
    TorchScript would say the same once more: PyTorch has deprecated it in favour of this.
    """
    with torch.no_grad():
        program = torch.export.export(
            exportable.network,
            (exportable.example(),),
            dynamic_shapes={"images": {0: Dim("batch", min=1)}},
        )
    with warnings.catch_warnings():
        # of weights in channels-last order, which it takes for parts of larger ones; they are whole
        warnings.filterwarnings("ignore", message="No complete tensor found")
        torch.export.save(program, path, extra_files={METADATA: json.dumps(exportable.metadata)})


def open_program(path: Path, threads: int) -> Answer:
    """Return what answers pictures by a program, on as many threads as torch has."""
    return answer_by(torch.export.load(path).module())
