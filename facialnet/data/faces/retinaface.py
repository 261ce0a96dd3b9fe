"""The default detector: RetinaFace with a MobileNet-0.25, five points, no download.

Deng et al., "RetinaFace: single-shot multi-level face localisation in the wild", CVPR 2020.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from facialnet.data.faces.engines import Engine, OpenCVEngine
from facialnet.data.faces.face import Face, Pixels
from facialnet.data.faces.resizing import resized, scaled
from facialnet.data.faces.retinaface_decoding import decode_faces
from facialnet.data.faces.retinaface_weights import SHA256, retinaface_weights
from facialnet.errors import UserError

_MEAN = (104.0, 117.0, 123.0)  # of blue, green and red, as it was trained
_OUTPUTS = ("loc", "conf", "landmarks")


class RetinaFace:
    """Find faces and their five points. Threads may share it.

    Args:
        min_score: faces that it is less sure of are left out, in [0, 1].
        max_overlap: of two boxes that share more (intersection over union), the surer stays.
        longest: larger pictures are reduced to this longer side, in pixels, before the search; the
            time grows with its square, and faces below about 16 pixels in it are not found.
        smallest: smaller pictures are enlarged to this longer side, in pixels.
        batch_size: pictures of one size that go through the network together; for many more, memory
            is taken from the system and given back each time.
        engine: what runs the network; see data.faces.engines.

    Raises UserError where the weights are not installed or an argument is out of range.
    """

    digest = SHA256  # of what it finds faces with

    def __init__(
        self,
        *,
        min_score: float = 0.7,
        max_overlap: float = 0.4,
        longest: int = 800,
        smallest: int = 160,
        batch_size: int = 4,
        engine: Callable[[bytes, Sequence[str]], Engine] = OpenCVEngine,
    ) -> None:
        if not 0 < min_score <= 1 or not 0 <= max_overlap <= 1:
            raise UserError(
                f"detector: min_score={min_score} and max_overlap={max_overlap} must lie between "
                "0 and 1"
            )
        if not 32 <= smallest <= longest or batch_size < 1:
            raise UserError(
                f"detector: smallest={smallest} must be at least 32 and at most longest={longest}, "
                f"batch_size={batch_size} at least 1"
            )
        self.min_score = min_score
        self.max_overlap = max_overlap
        self.longest = longest
        self.smallest = smallest
        self.batch_size = batch_size
        self._engine = engine(retinaface_weights(), _OUTPUTS)

    def __call__(self, images: Sequence[Pixels]) -> list[list[Face]]:
        """Return the faces of each picture, largest first; see data.faces.face.Detector."""
        found: list[list[Face]] = [[] for _ in images]
        factors = [1.0] * len(images)
        same_size: dict[tuple[int, ...], list[tuple[int, Pixels]]] = defaultdict(list)
        for number, image in enumerate(images):
            small, factors[number] = resized(image, longest=self.longest, smallest=self.smallest)
            if small.ndim == 2:
                small = np.asarray(cv2.cvtColor(small, cv2.COLOR_GRAY2RGB), np.uint8)
            same_size[small.shape].append((number, small))
        for group in same_size.values():
            for start in range(0, len(group), self.batch_size):
                numbers, batch = zip(*group[start : start + self.batch_size], strict=True)
                for number, faces in zip(numbers, self._search(batch), strict=True):
                    found[number] = [scaled(face, factors[number]) for face in faces]
        return [sorted(faces, key=lambda face: -face.area) for faces in found]

    def _search(self, batch: Sequence[Pixels]) -> list[list[Face]]:
        """Return the faces of RGB pictures of one size."""
        blob = cv2.dnn.blobFromImages(list(batch), mean=_MEAN, swapRB=True)
        boxes, scores, points = self._engine(np.asarray(blob, np.float32))
        height, width = batch[0].shape[:2]
        return [
            decode_faces(
                boxes[number],
                scores[number, :, 1],
                points[number],
                (height, width),
                min_score=self.min_score,
                max_overlap=self.max_overlap,
            )
            for number in range(len(batch))
        ]
