"""Reading a photo wherever it lies: pixels in memory, a file, an address."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facialnet.data.decode import UnreadableImageError
from facialnet.errors import gist
from facialnet.inference.decoding import HeavyPictureError, bounded, decode_photo, read_bytes
from facialnet.inference.decoding_process import DecodingProcess
from facialnet.inference.download import download
from facialnet.inference.photos import Photo


@dataclass
class ReadPhoto:
    """A photo that was read.

    Attributes:
        photo: which.
        pixels: uint8 [H, W, 3], RGB, or [H, W]; None where there is an error.
        reduced: factor, at most 1, by which they are smaller than the photo.
        content: of the file, where the reader of data sets decodes it to the same picture.
        error: what is wrong with it, else None.
    """

    photo: Photo
    pixels: NDArray[np.uint8] | None = None
    reduced: float = 1.0
    content: bytes | None = None
    error: str | None = None


class PhotoReader:
    """Read photos, in any number of threads."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._processes: list[DecodingProcess] = []

    def read(self, photo: Photo) -> ReadPhoto:
        """Return a photo's pixels, or what is wrong with it; raises nothing."""
        if photo.error is not None:
            return ReadPhoto(photo, error=photo.error)
        if photo.pixels is not None:
            pixels, reduced = bounded(photo.pixels)
            return ReadPhoto(photo, pixels, reduced * photo.reduced)
        try:
            content = _content(photo)
            try:
                decoded = decode_photo(content, allow_heavy=False)
            except HeavyPictureError:
                decoded = self._process().decode(content)
            kept = content if decoded.plain else None
            return ReadPhoto(photo, decoded.pixels, decoded.reduced, kept)
        except UnreadableImageError as error:
            return ReadPhoto(photo, error=str(error))
        except Exception as error:  # no file may end the others
            return ReadPhoto(photo, error=f"{type(error).__name__}: {gist(error)}"[:200])

    def close(self) -> None:
        """End the processes that decode heavy pictures; call it when no thread reads any more."""
        for process in self._processes:
            process.close()
        self._processes.clear()
        self._of_thread = threading.local()

    def _process(self) -> DecodingProcess:
        process: DecodingProcess | None = getattr(self._of_thread, "process", None)
        if process is None:
            process = self._of_thread.process = DecodingProcess()
            self._processes.append(process)
        return process


def _content(photo: Photo) -> bytes:
    if photo.content is not None:
        return photo.content
    return download(photo.path) if photo.is_address else read_bytes(Path(photo.path))
