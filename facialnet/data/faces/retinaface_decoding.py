"""From the outputs of RetinaFace's network to faces.

Deng, Guo, Ververas, Kotsia and Zafeiriou, "RetinaFace: single-shot multi-level face localisation in
the wild", CVPR 2020; priors and variances of its MobileNet-0.25 version (Pytorch_Retinaface).
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facialnet.data.faces.face import Face

Floats = NDArray[np.float32]

_STRIDES = (8, 16, 32)
_SIZES = ((16, 32), (64, 128), (256, 512))  # sides of the priors at each stride, in pixels
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


@lru_cache(maxsize=64)
def priors(height: int, width: int) -> Floats:
    """Return the boxes that the network's answers are relative to.

    Args:
        height: of the network's input in pixels.
        width: likewise.

    Returns:
        float32 [P, 3]: x and y of the centre and the side in pixels, in the order of the outputs:
        by stride, row, column and size.
    """
    found = []
    for stride, sizes in zip(_STRIDES, _SIZES, strict=True):
        rows, columns, sides = np.meshgrid(
            np.arange(-(-height // stride)), np.arange(-(-width // stride)), sizes, indexing="ij"
        )
        centred = ((columns + 0.5) * stride, (rows + 0.5) * stride, sides)
        found.append(np.stack(centred, axis=-1).reshape(-1, 3))
    joined = np.concatenate(found).astype(np.float32)
    joined.flags.writeable = False  # the cache hands out the array itself
    return joined


def decode_faces(
    boxes: Floats,
    scores: Floats,
    points: Floats,
    shape: tuple[int, int],
    *,
    min_score: float,
    max_overlap: float,
) -> list[Face]:
    """Return the faces of one picture, the surest first.

    Args:
        boxes: float32 [P, 4], centre and size relative to the priors.
        scores: float32 [P], in [0, 1].
        points: float32 [P, 10], x and y of five points relative to the priors.
        shape: height and width of the network's input.
        min_score: faces below it are left out.
        max_overlap: of two boxes that share more (intersection over union), the surer stays.
    """
    sure = np.flatnonzero(scores >= min_score)
    centre, side = np.split(priors(*shape)[sure], [2], axis=1)
    middle = centre + boxes[sure, :2] * _CENTRE_VARIANCE * side
    size = side * np.exp(boxes[sure, 2:] * _SIZE_VARIANCE)
    corners = np.hstack([middle - size / 2, size])
    marks = centre[:, None] + points[sure].reshape(-1, 5, 2) * _CENTRE_VARIANCE * side[:, None]
    kept = cv2.dnn.NMSBoxes(
        corners.astype(np.float64).tolist(), scores[sure].tolist(), min_score, max_overlap
    )
    return [
        Face(
            box=(*(float(value) for value in corners[index]),),  # type: ignore[arg-type]
            score=min(1.0, float(scores[sure[index]])),
            points=marks[index].astype(np.float32),
        )
        for index in np.asarray(kept, np.int64).reshape(-1)
    ]
