"""Which photos are meant: files, folders, patterns, lists, videos, webcams and addresses."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facialnet.errors import UserError
from facialnet.inference.listing import files_below, sorted_names
from facialnet.inference.video import VIDEO_ENDINGS, frames

PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"),
    *(".avif", ".heic", ".heif"),
)
_LIST_ENDINGS = (".txt", ".lst")
_WEBCAM = re.compile(r"webcam:(\d{1,3})")
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


@dataclass(frozen=True)
class Photo:
    """One photo that is to be answered.

    Attributes:
        path: as answers name it.
        pixels: uint8 [H, W, 3], RGB, or [H, W]; None: to be decoded.
        content: of a file that was read already; None: to be read from the path.
        frame: number in a video, from 0, else None.
        time: seconds from the start of the video, else None.
        reduced: factor, at most 1, by which the pixels are smaller than the picture.
        error: why there is nothing to be read, else None.
    """

    path: str
    pixels: NDArray[np.uint8] | None = None
    content: bytes | None = None
    frame: int | None = None
    time: float | None = None
    reduced: float = 1.0
    error: str | None = None

    @property
    def is_address(self) -> bool:
        """Whether the photo is to be downloaded."""
        return self.pixels is None and self.content is None and is_address(self.path)

    @property
    def key(self) -> bytes:
        """What tells this photo from all others of a run."""
        return os.fsencode(self.path) + (b"" if self.frame is None else b"\0%d" % self.frame)


def is_address(text: str) -> bool:
    """Return whether a text is an address such as ``https://…`` rather than a path."""
    return _ADDRESS.match(text) is not None


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise UserError for the first argument that names nothing that could be answered."""
    for argument in arguments:
        if _WEBCAM.fullmatch(argument):
            continue
        if argument.startswith("webcam"):
            raise UserError(f"{argument}: expected webcam:NUMBER, such as webcam:0")
        if is_address(argument):
            if not argument.lower().startswith(("http://", "https://")):
                raise UserError(f"{argument}: only http:// and https:// addresses are fetched")
        elif argument.lower().endswith((".ckpt", ".safetensors", ".onnx")):
            raise UserError(
                f"{argument} is no photo; a network is named by --checkpoint {argument}"
            )
        elif not os.path.lexists(argument) and not glob.has_magic(argument):
            raise UserError(f"there is no file or folder {Path(argument).absolute()}")


def find_photos(arguments: Sequence[str]) -> Iterator[Photo]:
    """Yield the photos that arguments mean, one after the other, without holding them.

    An argument is a picture or video, a folder (all pictures and videos below it), a pattern such
    as ``photos/**/*.jpg``, a list (``.txt``: one of all these a line, relative to the list's
    folder), ``webcam:0``, or an http(s) address. Order: that of the arguments; below a folder and
    for a pattern that of the names.

    Raises UserError where an argument names nothing, or a pattern fits nothing.
    """
    check_arguments(arguments)
    for argument in arguments:
        yield from _photos_of(argument)


def count_photos(arguments: Sequence[str]) -> int | None:
    """Return how many photos arguments mean, without opening them; None where videos are among."""
    count = 0
    for argument in arguments:
        for path in _paths_of(argument):
            if _is_video(path) or _WEBCAM.fullmatch(path):
                return None
            count += 1
    return count


def _photos_of(argument: str) -> Iterator[Photo]:
    for path in _paths_of(argument):
        webcam = _WEBCAM.fullmatch(path)
        if webcam is None and not _is_video(path):
            yield Photo(path)
            continue
        number = -1
        for number, time, pixels, reduced in frames(int(webcam[1]) if webcam else path):
            yield Photo(path, pixels, frame=number, time=time, reduced=reduced)
        if number < 0:
            what = "no picture comes from this camera" if webcam else "not a video"
            yield Photo(path, error=_missing(path) or what)


def _paths_of(argument: str) -> Iterator[str]:
    if is_address(argument) or _WEBCAM.fullmatch(argument):
        yield argument
    elif Path(argument).is_dir():
        yield from _pictures_below(argument)
    elif os.path.lexists(argument):
        if argument.lower().endswith(_LIST_ENDINGS):
            yield from _listed(Path(argument))
        else:
            yield argument
    elif glob.has_magic(argument):
        yield from _matching(argument)
    else:
        yield argument  # a line of a list, whose row will say that there is no such file


def _pictures_below(folder: str) -> Iterator[str]:
    wanted = (*PICTURE_ENDINGS, *VIDEO_ENDINGS)
    found = False
    for path in files_below(Path(folder)):
        if path.name.lower().endswith(wanted):
            found = True
            yield str(path)
    if not found:
        raise UserError(
            f"there are no photos below {Path(folder).absolute()}; looked for "
            f"{', '.join(PICTURE_ENDINGS)} and videos"
        )


def _matching(pattern: str) -> Iterator[str]:
    # Path.glob would turn ./a into a, and takes no absolute pattern
    paths = glob.iglob(pattern, recursive=True)  # noqa: PTH207
    found = ((os.fsencode(each), False) for each in paths)
    path = None
    for name, _ in sorted_names(found):
        path = os.fsdecode(name)
        if not Path(path).is_dir():
            yield path
    if path is None:
        raise UserError(f"no file fits the pattern {pattern}")


def _listed(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line in file:
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            if is_address(entry) or _WEBCAM.fullmatch(entry):
                yield entry
            else:
                inner = str(path.parent / entry)
                is_list = inner.lower().endswith(_LIST_ENDINGS)
                yield from [inner] if is_list else _paths_of(inner)


def _is_video(path: str) -> bool:
    return not is_address(path) and path.lower().endswith(VIDEO_ENDINGS)


def _missing(path: str) -> str | None:
    if _WEBCAM.fullmatch(path) or Path(path).is_file():
        return None
    return "there is no such file"
