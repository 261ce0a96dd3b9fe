"""One run of prediction: photos to answers, to files and pictures, and what is said at the end."""

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from facialnet.inference.annotate import Annotator
from facialnet.inference.gallery import Gallery
from facialnet.inference.labelled import LabelledPhotos
from facialnet.inference.output.choice import Output
from facialnet.inference.output.done import Done
from facialnet.inference.photos import Photo
from facialnet.inference.predictor import Predictor

_LISTED = 50  # unreadable photos that are named at the end; the output names all
_FLUSH_EVERY = 64  # photos


@dataclass
class Summary:
    """What a run did.

    Attributes:
        photos: answered in this start, frames of videos one by one.
        skipped: answered in an earlier start.
        faces: answered in this start.
        without_face: photos in which none was found.
        unreadable: how many could not be read.
        reasons: path and reason of the first of them.
    """

    photos: int = 0
    skipped: int = 0
    faces: int = 0
    without_face: int = 0
    unreadable: int = 0
    reasons: list[tuple[str, str]] = field(default_factory=list)


def run(
    predictor: Predictor,
    photos: Iterable[Photo],
    output: Output | None,
    *,
    annotator: Annotator | None = None,
    gallery: Gallery | None = None,
    labelled: LabelledPhotos | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Summary:
    """Answer photos and hand the answers on; what is written is valid however the run ends.

    Args:
        predictor: answers.
        photos: see ``find_photos``.
        output: where answers go; closed at the end.
        annotator: draws them; closed at the end.
        gallery: collects faces.
        labelled: compares the answers with labels.
        progress: called with the photos done so far, skipped ones included.
    """
    summary = Summary()
    keep = annotator is not None or gallery is not None
    left = photos if output is None else _left(photos, output.done, summary)
    try:
        for answered in predictor.stream(left, keep_pixels=keep):
            answer = answered.answer
            with _Uninterrupted():  # a row and a picture are written whole
                if output is not None:
                    output.write(answer)
                if annotator is not None:
                    annotator.write(answered)
            right = None if labelled is None else labelled.add(answered)
            if gallery is not None:
                gallery.add(answered, right)
            summary.photos += 1
            summary.faces += len(answer.faces)
            summary.without_face += answer.no_face is not None
            if answer.error is not None:
                summary.unreadable += 1
                if len(summary.reasons) < _LISTED:
                    summary.reasons.append((answer.path, answer.error))
            if output is not None and summary.photos % _FLUSH_EVERY == 0:
                output.flush()
            progress(summary.photos + summary.skipped)
    finally:
        with _Uninterrupted():
            for each in (output, annotator):
                if each is not None:
                    each.close()
    progress(summary.photos + summary.skipped)
    return summary


def _left(photos: Iterable[Photo], done: Done, summary: Summary) -> Iterator[Photo]:
    for photo in photos:
        if photo.key in done:
            summary.skipped += 1
        else:
            yield photo


class _Uninterrupted:
    """Put Ctrl-C off until the end of the block."""

    def __enter__(self) -> None:
        self._came: tuple[int, FrameType | None] | None = None
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._remember)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._came = (number, frame)

    def __exit__(self, *error: object) -> None:
        if not self._main:
            return
        signal.signal(signal.SIGINT, self._before)
        if self._came is not None and callable(self._before):
            self._before(*self._came)
