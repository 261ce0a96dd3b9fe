"""Videos and webcams: reading frames, writing frames."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.inference.decoding import bounded

VIDEO_ENDINGS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
_RATE = 25.0  # frames a second where a video does not say


def frames(source: str | int) -> Iterator[tuple[int, float, NDArray[np.uint8], float]]:
    """Yield number, time in seconds, pixels (uint8 [H, W, 3], RGB) and reduction of each frame.

    Nothing comes from what is not a video. Large frames are reduced as photos are.

    Args:
        source: path of a video, or number of a webcam.
    """
    if isinstance(source, str) and not Path(source).is_file():
        return  # a pipe or a device would block
    capture = cv2.VideoCapture(source)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS) if capture.isOpened() else 0.0
        rate = rate if 0 < rate < 1000 else _RATE
        number = 0
        while capture.isOpened():
            there, picture = capture.read()
            if not there:
                return
            picture, reduced = bounded(np.asarray(picture, np.uint8))
            rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
            yield number, number / rate, rgb, reduced
            number += 1
    finally:
        capture.release()


class VideoWriter:
    """Write frames to an MP4 file, which appears under its name when it is closed.

    Args:
        path: the file.
        size: width and height of all frames.
        rate: frames a second.
    """

    def __init__(self, path: Path, *, size: tuple[int, int], rate: float = _RATE) -> None:
        self.path = path
        self._size = size
        self._partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._partial), code, rate, size)
        if not self._writer.isOpened():
            raise OSError(f"{path}: this OpenCV cannot write MP4 videos")

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add a frame, uint8 [H, W, 3], RGB."""
        if picture.shape[1::-1] != self._size:
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """End the file and put it in its place."""
        self._writer.release()
        if self._partial.exists():
            self._partial.replace(self.path)

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
