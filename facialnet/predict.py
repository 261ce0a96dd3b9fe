"""Answer photos: `python -m facialnet.predict PHOTO… | FOLDER | 'GLOB' | VIDEO | webcam:0`."""

import argparse
import hashlib
import json
import shlex
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facialnet.command import run_command
from facialnet.data.faces.engines import fastest_engine
from facialnet.data.faces.face import Detector
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.data.faces.yunet import YuNet
from facialnet.errors import UserError
from facialnet.evaluation.labelled_photos import (
    counts_of,
    plain_report,
    report_lines,
    report_on,
    report_table,
)
from facialnet.inference.annotate import Annotator
from facialnet.inference.arguments import check, parser
from facialnet.inference.gallery import Gallery
from facialnet.inference.labelled import LabelledPhotos
from facialnet.inference.network import TrainedNetwork
from facialnet.inference.output.choice import format_of, open_output
from facialnet.inference.photos import Photo, count_photos, find_photos
from facialnet.inference.predictor import Predictor, checkpoint_path, read_network
from facialnet.inference.run import Summary, run

_messages = Console(stderr=True, soft_wrap=True, highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer photos, and say what could not be read and where the answers lie."""
    given = parser().parse_args(arguments)
    check(given)
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # sizes are checked
    path = checkpoint_path(given.checkpoint)
    network = read_network(path, views=given.views, device=given.device)
    labelled = LabelledPhotos(Path(given.labels), network.tasks) if given.labels else None
    photos = _photos(given, labelled)
    predictor = Predictor(
        network,
        detector=_detector(given),
        boxes=given.boxes,
        faces="largest" if labelled else given.faces,
        no_face=given.no_face,
        threshold=given.threshold,
        batch_size=given.batch_size,
    )
    file = Path(given.output) if given.output else None
    output = None
    if labelled is None or file is not None:
        output = open_output(
            format_of(given.format, file),
            file,
            network.tasks,
            settings=_settings(given, path, network),
            restart=given.restart or labelled is not None,
        )
    gallery = Gallery() if given.gallery else None
    annotator = Annotator(Path(given.annotate)) if given.annotate else None
    if not network.calibrated:
        _messages.print("note: probabilities are the network's own, not calibrated", markup=False)
    start = time.perf_counter()
    try:
        with _progress(given, labelled) as progress:
            summary = run(
                predictor,
                photos,
                output,
                annotator=annotator,
                gallery=gallery,
                labelled=labelled,
                progress=progress,
            )
    except KeyboardInterrupt:
        if file is not None:
            _messages.print(f"so far: {file.absolute()}; the same command goes on", markup=False)
        raise
    _say(given, summary, gallery, time.perf_counter() - start)
    if labelled is not None:
        _report(labelled, file)
    _end(given, summary, file)


def _photos(given: argparse.Namespace, labelled: LabelledPhotos | None) -> Iterator[Photo]:
    return find_photos(given.photos) if labelled is None else map(Photo, labelled.paths)


def _detector(given: argparse.Namespace) -> Detector | None:
    if given.detector_model and given.detector != "yunet":
        raise UserError("--detector-model is for --detector yunet")
    if given.boxes or given.detector == "none":
        return None
    size = {} if given.search_side is None else {"longest": given.search_side}
    if given.detector == "retinaface":
        return RetinaFace(engine=fastest_engine, **size)
    if not given.detector_model:
        raise UserError("--detector yunet needs --detector-model FILE.onnx")
    return YuNet(model=Path(given.detector_model), **size)


def _settings(given: argparse.Namespace, path: Path, network: TrainedNetwork) -> dict[str, Any]:
    """Return all that the rows of an output depend on, beside the photos."""
    return {
        "checkpoint": _digest(path),
        "format": format_of(given.format, Path(given.output) if given.output else None),
        "views": network.views_name,
        "detector": "boxes" if given.boxes else given.detector,
        "search_side": given.search_side,
        "detector_model": _digest(Path(given.detector_model)) if given.detector_model else None,
        "boxes": _digest(Path(given.boxes)) if given.boxes else None,
        "faces": given.faces,
        "no_face": given.no_face,
        "threshold": given.threshold,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


@contextmanager
def _progress(given: argparse.Namespace, labelled: LabelledPhotos | None) -> "Iterator[Any]":
    """Show a bar on the error output of a terminal; the photos are counted beside the work."""
    bar = Progress(
        TextColumn("photos"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=_messages,
        disable=not _messages.is_terminal,
        transient=True,
    )
    total = None if labelled is None else len(labelled.paths)
    task = bar.add_task("photos", total=total, speed="")

    def count() -> None:
        try:
            bar.update(task, total=count_photos(given.photos))
        except (UserError, OSError):  # the run itself says so
            return

    def progress(done: int) -> None:
        speed = bar.tasks[0].speed
        bar.update(task, completed=done, speed=f"{speed:,.0f}/s" if speed else "")

    if _messages.is_terminal and labelled is None:
        threading.Thread(target=count, daemon=True).start()
    with bar:
        yield progress


def _say(
    given: argparse.Namespace, summary: Summary, gallery: Gallery | None, seconds: float
) -> None:
    """Name what could not be read and what else there is."""
    for path, reason in summary.reasons:
        _messages.print(f"unreadable: {path}: {reason}", markup=False)
    if summary.unreadable > len(summary.reasons):
        more = summary.unreadable - len(summary.reasons)
        _messages.print(f"and {more:,} more unreadable ones; the output names them all")
    before = f", {summary.skipped:,} answered before" if summary.skipped else ""
    speed = f"; {summary.photos / seconds:,.3g} photos/s" if summary.photos else ""
    _messages.print(
        f"{summary.photos:,} photos{before}: {summary.faces:,} faces, "
        f"{summary.without_face:,} without a face ({given.no_face}), "
        f"{summary.unreadable:,} unreadable{speed}",
        markup=False,
    )
    if given.annotate:
        _messages.print(f"annotated: {Path(given.annotate).absolute()}", markup=False)
    if gallery is not None and gallery.save(Path(given.gallery)):
        _messages.print(f"gallery: {Path(given.gallery).absolute()}", markup=False)


def _report(labelled: LabelledPhotos, file: Path | None) -> None:
    """Print average precision and accuracy; beside an output they are also left as JSON."""
    table = labelled.table()
    reports, counts = report_on(table, labelled.tasks), counts_of(table)
    console = Console(soft_wrap=True, highlight=False)
    for report in reports:
        console.print(report_table(report), soft_wrap=False)
        for line in report_lines(report, counts):
            console.print(line, markup=False)
    if file is not None:
        place = file.with_name(f"{file.name}.report.json")
        place.write_text(json.dumps(plain_report(reports, counts), indent=2))
        console.print(str(place.absolute()), markup=False)


def _end(given: argparse.Namespace, summary: Summary, file: Path | None) -> None:
    if summary.photos and summary.unreadable == summary.photos and not summary.skipped:
        what = summary.reasons[0][1] if summary.photos == 1 else "see above"
        raise UserError(f"no photo could be read ({what})")
    if file is None:
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(str(file.absolute()), markup=False)
    if not given.annotate and given.photos:
        words = ["python", "-m", "facialnet.predict", *given.photos[:1], "--annotate", "annotated"]
        if given.checkpoint:
            words += ["--checkpoint", given.checkpoint]
        console.print(f"next: {shlex.join(words)}", markup=False)


if __name__ == "__main__":
    run_command(main)
