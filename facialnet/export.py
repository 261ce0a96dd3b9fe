"""Export a checkpoint: `python -m facialnet.export CHECKPOINT`."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console

from facialnet import build
from facialnet.command import run_command
from facialnet.data.plain_preprocessing import preprocessing_from_plain
from facialnet.data.store import Store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.evaluation.report.card import model_card
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.runs import find_runs
from facialnet.inference.export.exportable import Exportable, exportable
from facialnet.inference.export.faces import (
    Faces,
    faces_of_pictures,
    faces_of_store,
    find_store,
    noise,
)
from facialnet.inference.export.files import RUNNER, export
from facialnet.inference.export.formats import FORMATS
from facialnet.inference.export.tables import latency_table, parity_table
from facialnet.training.checkpoint import Checkpoint, read_checkpoint

_ABOUT = """Write a checkpoint as files for other programs, check every one of them against PyTorch
and time it. The formats: onnx (preprocessing and class names in its metadata), torch (a program of
torch.export), int8 (a quantised ONNX file), safetensors (weights in half precision with all that
facialnet needs: a checkpoint to pass on)."""
_EXAMPLES = """examples:
  python -m facialnet.export outputs/adience_aug/TIME/checkpoints/best.ckpt
  python -m facialnet.export best.ckpt --format int8 --check data/prepared --out exported
  python -m facialnet.export best.ckpt --format onnx --check FOLDER_OF_FACES"""
_DATA = (
    """a folder of prepared stores, one store, or a folder of pictures of one cropped face each"""
)
_CALIBRATION = 256  # faces; more change the ranges of activations little
_NOISE = 64  # pictures; they say little however many there are


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files, and say how far each is from PyTorch and how fast."""
    given = _parser().parse_args(arguments)
    if given.faces < 1:
        raise UserError(f"--faces {given.faces}: give 1 or more")
    console = Console(soft_wrap=True, highlight=False)
    checkpoint = read_checkpoint(Path(given.checkpoint))
    preprocessing = preprocessing_from_plain(checkpoint.card["preprocess"])
    views = build.instantiate(_settings(checkpoint, "views"))
    subject = exportable(checkpoint, preprocessing, views)
    formats = list(FORMATS) if given.format == "all" else [given.format]
    check = _check_faces(subject, preprocessing, given.check, given.faces)
    calibration = (
        _calibration_faces(subject, preprocessing, given.calibrate, given.check)
        if "int8" in formats
        else None
    )
    out = Path(given.out) if given.out else checkpoint.path.parent / "export"
    summary = export(
        subject,
        formats,
        out,
        check=check,
        calibration=calibration,
        model_card=_model_card(checkpoint, console),
        announce=lambda line: console.print(line, markup=False),
    )
    console.print(f"checked on {check.what}", markup=False, style=None if check.real else "yellow")
    console.print(parity_table(summary), soft_wrap=False)
    console.print(latency_table(summary["latency"]), soft_wrap=False)
    if stamp := checkpoint.card.get("stamp"):
        console.print(stamp, style="bold red", markup=False)
    console.print(f"files: {out.absolute()}", markup=False)
    _print_next(summary, out, console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facialnet.export",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt or .safetensors file")
    parser.add_argument(
        "--format", choices=(*FORMATS, "all"), default="all", help="what to write; default: all"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="where to write; default: export beside the checkpoint"
    )
    parser.add_argument(
        "--check",
        metavar="DATA",
        help=f"faces to compare the answers on: {_DATA}; default: the checkpoint's own test faces, "
        "where their store is at hand, otherwise noise",
    )
    parser.add_argument(
        "--calibrate",
        metavar="DATA",
        help="faces for int8's ranges, likewise; default: the checkpoint's own training faces",
    )
    parser.add_argument(
        "--faces", type=int, default=1000, metavar="N", help="checked at most; default: 1000"
    )
    return parser


def _settings(checkpoint: Checkpoint, group: str) -> Any:
    return build.plain(OmegaConf.create(checkpoint.card["config"])[group])


def _check_faces(
    subject: Exportable, preprocessing: Preprocessing, asked: str | None, most: int
) -> Faces:
    """Return the faces to check on: those asked for, or the checkpoint's own test faces."""
    if asked is not None:
        return _named_faces(subject, preprocessing, asked, "test", most)
    store = _own_store(subject.checkpoint, None)
    if store is None:
        return noise(subject, min(most, _NOISE))
    return _of_store(subject, store, preprocessing, "test", most)


def _calibration_faces(
    subject: Exportable, preprocessing: Preprocessing, asked: str | None, check: str | None
) -> Faces | None:
    """Return the faces that give int8 its ranges; never those that it is checked on unasked."""
    if asked is not None:
        return _named_faces(subject, preprocessing, asked, "train", _CALIBRATION)
    store = _own_store(subject.checkpoint, check)
    if store is None:
        return None
    return _of_store(subject, store, preprocessing, "train", _CALIBRATION)


def _named_faces(
    subject: Exportable, preprocessing: Preprocessing, named: str, part: str, most: int
) -> Faces:
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder.absolute()}; name {_DATA}")
    store = find_store(folder, subject.checkpoint.card.get("store"))
    if store is None:
        return faces_of_pictures(subject, folder, preprocessing, most=most)
    return _of_store(subject, store, preprocessing, part, most)


def _own_store(checkpoint: Checkpoint, named: str | None) -> Store | None:
    """Return the store that the checkpoint was trained on, in a folder or where its settings say.

    None where it is not there, or damaged: nobody asked for it.
    """
    digest = checkpoint.card.get("store")
    for place in (named, _settings(checkpoint, "paths")["prepared"]):
        try:
            store = None if place is None else find_store(Path(place).expanduser(), digest)
        except UserError:
            continue
        if store is not None and store.digest == digest:
            return store
    return None


def _of_store(
    subject: Exportable, store: Store, preprocessing: Preprocessing, part: str, most: int
) -> Faces:
    """Return faces of one part of the checkpoint's own split, or all faces of another store."""
    card = subject.checkpoint.card
    if store.digest == card.get("store"):
        split = build.split(card["protocol"], store.manifest)
        rows = split.test if part == "test" else split.train
        what = f"{part} faces of {card['data']['name']}"
    else:
        rows = np.arange(len(store))
        what = f"faces of {', '.join(sorted(store.manifest['source'].unique()))}"
    return faces_of_store(subject, store, rows, preprocessing, most=most, what=what)


def _model_card(checkpoint: Checkpoint, console: Console) -> str | None:
    """Return the model card of the run that a checkpoint lies in; None where it is in no run."""
    run = checkpoint.path.absolute().parent.parent
    try:
        return model_card(gather(find_runs(run)))
    except UserError:
        console.print(f"no model card: {run} is not the folder of a finished run", markup=False)
        return None


def _print_next(summary: dict[str, Any], out: Path, console: Console) -> None:
    for name in ("onnx", "int8"):
        if name in summary["files"]:
            model = out / summary["files"][name]["file"]
            words = ("python", str(out / RUNNER), str(model), "FACE.jpg")
            console.print(f"next: {shlex.join(words)}", markup=False)
            return


if __name__ == "__main__":
    run_command(main)
