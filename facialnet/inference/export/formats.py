"""The formats that a checkpoint is exported to: how each is written, and run for the check."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facialnet.errors import UserError, gist
from facialnet.inference.export.answer import Answer, answer_by
from facialnet.inference.export.exportable import AnsweringNetwork, Exportable
from facialnet.inference.export.faces import Faces
from facialnet.inference.export.onnx_file import open_onnx, write_onnx
from facialnet.inference.export.program import open_program, write_program
from facialnet.inference.export.quantise import quantise_dynamic, quantise_static
from facialnet.training.checkpoint import read_checkpoint
from facialnet.training.portable import SUFFIX, write_portable

# Open a file for a number of threads; the checkpoint says what the file itself does not.
Opener = Callable[[Exportable, Path, int], Answer]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        ending: of the file's name.
        write: writes a file; the faces are for calibration, None where there are none.
        open: makes a file answer.
        tolerance: how far a probability may be from PyTorch's before the file counts as wrong.
        onnx: whether run_onnx.py runs it.
    """

    ending: str
    write: Callable[[Exportable, Path, Faces | None], str]
    open: Opener
    tolerance: float
    onnx: bool = False


def _onnx(exportable: Exportable, path: Path, _: Faces | None) -> str:
    write_onnx(exportable, path)
    return "float32"


def _program(exportable: Exportable, path: Path, _: Faces | None) -> str:
    write_program(exportable, path)
    return "float32"


def _int8(exportable: Exportable, path: Path, calibration: Faces | None) -> str:
    source = path.with_name(f"{path.name}.float")
    try:
        write_onnx(exportable, source)
        if calibration is None:
            quantise_dynamic(source, path)
            return "int8 weights of dense layers alone: no faces to calibrate with"
        quantise_static(source, path, calibration.pixels)
        return f"int8 weights and activations, calibrated on {calibration.what}"
    finally:
        source.unlink(missing_ok=True)


def _portable(exportable: Exportable, path: Path, _: Faces | None) -> str:
    checkpoint = exportable.checkpoint
    write_portable(path, checkpoint.card, checkpoint.weights)
    return "float16, computed in float32"


def _open_portable(exportable: Exportable, path: Path, _: int) -> Answer:
    network = exportable.network
    return answer_by(
        AnsweringNetwork(
            read_checkpoint(path).network(),
            network.views,
            size=network.size,
            temperatures=network.temperatures,
        ).eval()
    )


FORMATS = {
    "onnx": Format(".onnx", _onnx, lambda _, path, n: open_onnx(path, n), 1e-3, onnx=True),
    "torch": Format(".pt2", _program, lambda _, path, n: open_program(path, n), 1e-3),
    # What whole numbers cost in accuracy is for whoever exports to judge; a broken file is not.
    "int8": Format(".int8.onnx", _int8, lambda _, path, n: open_onnx(path, n), 1.0, onnx=True),
    "safetensors": Format(SUFFIX, _portable, _open_portable, 0.05),
}


def write_format(name: str, exportable: Exportable, path: Path, calibration: Faces | None) -> str:
    """Write a file and return what its numbers are.

    Raises UserError where the network cannot be written in this format.
    """
    try:
        return FORMATS[name].write(exportable, path, calibration)
    except (UserError, OSError, KeyboardInterrupt):
        raise
    except Exception as error:  # the exporters raise many kinds, each for one more operator
        backbone = exportable.checkpoint.card["model"]["backbone"]["_target_"].rpartition(".")[2]
        raise UserError(
            f"--format {name}: a network with the backbone {backbone} cannot be exported "
            f"({type(error).__name__}: {gist(error)[:200]}); choose another format"
        ) from error
