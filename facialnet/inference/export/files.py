"""Writing an export: every file checked before any of them is put in its place."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from facialnet.data.partial_folder import partial_place, remove_leftovers
from facialnet.errors import UserError
from facialnet.inference.export.answer import Answer, answer_all, answer_by
from facialnet.inference.export.exportable import Exportable
from facialnet.inference.export.faces import Faces
from facialnet.inference.export.formats import FORMATS, write_format
from facialnet.inference.export.latency import REFERENCE, measure_latency
from facialnet.inference.export.parity import compare, largest_difference
from facialnet.training.run_folder import environment, git_revision, write_json

SUMMARY, RUNNER = "export.json", "run_onnx.py"
_BATCH = 32


def export(
    exportable: Exportable,
    formats: Sequence[str],
    out: Path,
    *,
    check: Faces,
    calibration: Faces | None = None,
    model_card: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write a checkpoint in some formats, check and time them, and return what was found.

    Beside the files lie ``export.json``, what is returned; ``run_onnx.py``, which runs the ONNX
    files; and the model card. A failure leaves what was there before.

    Args:
        exportable: what is exported.
        formats: keys of FORMATS.
        out: the folder.
        check: faces whose answers are compared with PyTorch's.
        calibration: faces that give int8 its ranges; None: int8 of dense layers alone.
        model_card: in Markdown; None: no card is written.
        announce: called with a sentence before each step.

    Returns:
        ``checkpoint``, ``faces``, ``files`` (format to ``file``, ``bytes``, ``numbers``,
        ``parity``), ``latency``, ``metadata`` and ``environment``.

    Raises:
        UserError: the network cannot be written in a format, or a file answers otherwise than
            PyTorch does.
    """
    revision = git_revision()
    stem = exportable.checkpoint.path.stem
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    aside = partial_place(out)
    try:
        aside.mkdir()
        files = _write_checked(exportable, formats, aside, check, calibration, announce)
        announce("measuring how long a face takes")
        summary = {
            "checkpoint": exportable.checkpoint.path.name,
            "faces": {"what": check.what, "count": len(check.pixels), "real": check.real},
            "files": files,
            "latency": measure_latency(_openers(exportable, files, aside), check.pixels),
            "metadata": exportable.metadata,
            "environment": environment(revision),
        }
        if any(FORMATS[name].onnx for name in formats):
            runner = resources("facialnet.inference.export").joinpath(RUNNER)
            (aside / RUNNER).write_text(runner.read_text("utf-8"), "utf-8")
        if model_card is not None:
            (aside / f"{stem}.md").write_text(model_card, "utf-8")
        write_json(summary, aside / SUMMARY)
        _put_in_place(aside, out)
        return summary
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_checked(
    exportable: Exportable,
    formats: Sequence[str],
    folder: Path,
    check: Faces,
    calibration: Faces | None,
    announce: Callable[[str], None],
) -> dict[str, Any]:
    """Write a file for each format and compare its answers with PyTorch's; what was found."""
    reference = answer_all(answer_by(exportable.network), check.pixels, _BATCH)
    found: dict[str, Any] = {}
    for name in formats:
        path = folder / f"{exportable.checkpoint.path.stem}{FORMATS[name].ending}"
        announce(f"writing and checking {path.name}")
        numbers = write_format(name, exportable, path, calibration)
        parity = compare(FORMATS[name].open(exportable, path, 1), reference, check)
        _refuse_wrong(name, largest_difference(parity))
        found[name] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "numbers": numbers,
            "parity": parity,
        }
    return found


def _openers(
    exportable: Exportable, files: dict[str, Any], folder: Path
) -> dict[str, Callable[[int], Answer]]:
    """Return what is timed: PyTorch, and each file with a way of its own to run."""
    openers: dict[str, Callable[[int], Answer]] = {
        REFERENCE: lambda _: answer_by(exportable.network)
    }
    for name, facts in files.items():
        if name != "safetensors":  # read, it is the very network that PyTorch runs
            openers[name] = partial(FORMATS[name].open, exportable, folder / facts["file"])
    return openers


def _refuse_wrong(name: str, difference: float) -> None:
    if difference > FORMATS[name].tolerance:
        raise UserError(
            f"--format {name}: a probability of the file is {difference:.2g} from PyTorch's, where "
            f"{FORMATS[name].tolerance:g} is allowed: it is not written; please report it with the "
            "system's name"
        )


def _put_in_place(aside: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    # The summary last: where it speaks of a file, that file is there.
    for path in sorted(aside.iterdir(), key=lambda path: path.name == SUMMARY):
        path.replace(out / path.name)
