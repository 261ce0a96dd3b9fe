"""Pictures with red boxes in them, and a detector that finds these to the pixel."""

import cv2
import numpy as np
from PIL import Image

from facialnet.data.faces.face import Face

LAYOUT = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]


class RedBoxes:
    """Find pure red rectangles: a face whose place a test can choose to the pixel."""

    def __init__(self):
        self.sizes = []

    def __call__(self, images):
        self.sizes.append(len(images))
        return [self._faces(image) for image in images]

    def _faces(self, image):
        if image.ndim == 2:
            return []
        red = (image[..., 0] > 200) & (image[..., 1] < 60) & (image[..., 2] < 60)
        count, _, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        faces = [Face(tuple(map(float, stats[n, :4])), 0.9, None) for n in range(1, count)]
        return sorted((face for face in faces if face.area > 16), key=lambda face: -face.area)


def picture(*boxes, size=(120, 100), seed=0):
    """A grey noisy RGB picture, width and height ``size``, with red boxes (x, y, w, h) in it."""
    noise = np.random.default_rng(seed).integers(60, 180, (size[1], size[0], 1), dtype=np.uint8)
    pixels = np.repeat(noise, 3, axis=2)
    for x, y, width, height in boxes:
        pixels[y : y + height, x : x + width] = (255, 0, 0)
    return pixels


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path
