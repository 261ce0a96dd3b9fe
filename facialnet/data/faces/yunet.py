"""The second detector: YuNet in OpenCV, with a model file of your own.

Wu, Peng and Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research,
2023.
"""

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facialnet.data.faces.face import Face, Pixels
from facialnet.data.faces.resizing import resized, scaled
from facialnet.errors import UserError, gist

_CREATING = threading.Lock()  # OpenCV's log level is one for all threads


class YuNet:
    """Find faces and their five points. Threads may share it.

    Args:
        model: a YuNet file (.onnx) with an input of any size, from OpenCV's model zoo
            (github.com/opencv/opencv_zoo, face_detection_yunet); OpenCV 5 needs its file of 2026.
        min_score: faces that it is less sure of are left out, in [0, 1].
        max_overlap: of two boxes that share more (intersection over union), the surer stays.
        longest: larger pictures are reduced to this longer side, in pixels, before the search.
        smallest: smaller pictures are enlarged to this longer side, in pixels.

    Raises UserError where the file is missing or OpenCV cannot read it.
    """

    def __init__(
        self,
        *,
        model: str | Path,
        min_score: float = 0.7,
        max_overlap: float = 0.3,
        longest: int = 800,
        smallest: int = 160,
    ) -> None:
        path = Path(model).expanduser()
        if not path.is_file():
            raise UserError(
                f"detector.model={model}: there is no such file; get face_detection_yunet from "
                "github.com/opencv/opencv_zoo, or use detector=retinaface"
            )
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.longest = longest
        self.smallest = smallest
        self._settings = (str(path), "", (smallest, smallest), min_score, max_overlap)
        self._of_thread = threading.local()  # one network serves one thread only
        try:
            self._network()
        except cv2.error as error:
            raise UserError(
                f"detector.model={model}: OpenCV {cv2.__version__} cannot read it "
                f"({gist(error)[:100]}); get face_detection_yunet from github.com/opencv/opencv_zoo"
            ) from error

    def __call__(self, images: Sequence[Pixels]) -> list[list[Face]]:
        """Return the faces of each picture, largest first; see data.faces.face.Detector."""
        return [self._search(image) for image in images]

    def _network(self) -> Any:
        if not hasattr(self._of_thread, "network"):
            with _CREATING:
                level = cv2.utils.logging.getLogLevel()
                # OpenCV 5 warns that it will not choose a device, and runs on the CPU as asked
                cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
                try:
                    self._of_thread.network = cv2.FaceDetectorYN.create(*self._settings)
                finally:
                    cv2.utils.logging.setLogLevel(level)
        return self._of_thread.network

    def _search(self, image: Pixels) -> list[Face]:
        small, factor = resized(image, longest=self.longest, smallest=self.smallest)
        code = cv2.COLOR_GRAY2BGR if small.ndim == 2 else cv2.COLOR_RGB2BGR
        network = self._network()
        network.setInputSize(small.shape[1::-1])
        _, rows = network.detect(cv2.cvtColor(small, code))
        faces = [scaled(_face(row), factor) for row in (() if rows is None else rows)]
        return sorted(faces, key=lambda face: -face.area)


def _face(row: Any) -> Face:
    """Return a face from one row: box, five points, score."""
    x, y, width, height = map(float, row[:4])
    points = np.asarray(row[4:14], np.float32).reshape(5, 2)
    return Face(box=(x, y, width, height), score=float(np.clip(row[14], 0, 1)), points=points)
