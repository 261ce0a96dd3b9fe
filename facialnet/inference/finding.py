"""From photos to framed faces, in threads: read, detect, frame."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.faces.face import Detector, Face
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError, gist
from facialnet.inference.answers import Box
from facialnet.inference.photos import Photo
from facialnet.inference.reading import PhotoReader, ReadPhoto

FACES = ("all", "largest")
NO_FACE = ("whole", "skip", "stop")
_CHUNK = 8  # photos that one thread takes at a time, so that detection works in batches

Pixels = NDArray[np.uint8]
Frame = Callable[[Pixels, Face], Pixels]
Boxes = Callable[[str], list[Face]]


@dataclass(frozen=True)
class FoundFace:
    """A face of a photo, framed for the network.

    Attributes:
        box: x, y, width and height in pixels of the photo.
        detection: the detector's score, or None where none looked.
        stored: uint8 [stored_side, stored_side, C].
    """

    box: Box
    detection: float | None
    stored: Pixels


@dataclass(frozen=True)
class FoundPhoto:
    """A photo in which faces were looked for.

    Attributes:
        photo: which.
        faces: the chosen ones, the largest first.
        error: why it could not be read, else None.
        no_face: the policy that was followed because there was no face, else None.
        pixels: uint8 [H, W, 3], RGB, where they are kept.
        reduced: factor, at most 1, by which they are smaller than the photo.
    """

    photo: Photo
    faces: tuple[FoundFace, ...] = field(default=())
    error: str | None = None
    no_face: str | None = None
    pixels: Pixels | None = None
    reduced: float = 1.0


class FaceFinder:
    """Find and frame the faces of any number of photos, in their order.

    Args:
        frame: from a picture and a face in it to stored pixels.
        preprocessing: for photos that are taken whole.
        detector: finds faces; may be called by several threads. None: every photo is one face and
            taken whole, as in the test of a training.
        boxes: path to faces of your own, in pixels of the photo; replaces the detector.
        faces: one of FACES.
        no_face: one of NO_FACE: what happens to a photo without a face.
        keep_pixels: whether results carry the photos' pixels.
        threads: that read, decode and detect.
    """

    def __init__(
        self,
        *,
        frame: Frame,
        preprocessing: Preprocessing,
        detector: Detector | None,
        boxes: Boxes | None = None,
        faces: str = "all",
        no_face: str = "whole",
        keep_pixels: bool = False,
        threads: int = 2,
    ) -> None:
        if faces not in FACES:
            raise UserError(f"faces={faces}: allowed are {', '.join(FACES)}")
        if no_face not in NO_FACE:
            raise UserError(f"no_face={no_face}: allowed are {', '.join(NO_FACE)}")
        self._frame = frame
        self._preprocessing = preprocessing
        self._detector = detector
        self._boxes = boxes
        self._faces = faces
        self._no_face = no_face
        self._keep_pixels = keep_pixels
        self._threads = threads
        self._reader = PhotoReader()

    def find(self, photos: Iterable[Photo]) -> Iterator[FoundPhoto]:
        """Yield what was found in each photo, in their order; a few are worked on ahead.

        Raises UserError for a photo without a face under the policy ``stop``, after all photos
        before it were yielded.
        """
        left = iter(photos)
        waiting: deque[Future[list[FoundPhoto]]] = deque()
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="faces")
        try:
            while True:
                while len(waiting) < self._threads + 2 and (chunk := list(islice(left, _CHUNK))):
                    waiting.append(pool.submit(self.find_together, chunk))
                if not waiting:
                    return
                for found in waiting.popleft().result():
                    if found.no_face == "stop":
                        raise UserError(
                            f"{found.photo.path}: no face was found; --no-face whole takes the "
                            "photo as it is, --no-face skip leaves it without an answer"
                        )
                    yield found
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._reader.close()

    def find_together(self, photos: Sequence[Photo]) -> list[FoundPhoto]:
        """Return what was found in some photos; what goes wrong stays with its photo."""
        read = [self._reader.read(photo) for photo in photos]
        sound = [each for each in read if each.pixels is not None]
        faces = dict(zip(map(id, sound), self._detect(sound), strict=True))
        return [self._framed(each, faces.get(id(each), [])) for each in read]

    def _detect(self, read: Sequence[ReadPhoto]) -> list[list[Face]]:
        """Return each photo's faces in its reduced pixels; mark photos that detection fails on."""
        if self._boxes is not None:
            return [
                [_scaled(face, each.reduced) for face in self._boxes(each.photo.path)]
                for each in read
            ]
        if self._detector is None or not read:
            return [[] for _ in read]
        try:
            return self._detector([each.pixels for each in read if each.pixels is not None])
        except Exception as error:
            if len(read) == 1:
                read[0].error = f"detection failed: {gist(error)}"[:200]
                return [[]]
            return [faces for each in read for faces in self._detect([each])]

    def _framed(self, read: ReadPhoto, faces: list[Face]) -> FoundPhoto:
        found = FoundPhoto(read.photo, error=read.error, reduced=read.reduced)
        if read.error is not None or read.pixels is None:
            return found
        if self._keep_pixels:
            found = replace(found, pixels=read.pixels)
        try:
            if not faces:
                return self._without_face(found, read)
            chosen = faces[:1] if self._faces == "largest" else faces
            scored = self._boxes is None
            framed = tuple(self._found(read, face, scored=scored) for face in chosen)
            return replace(found, faces=framed)
        except UnreadableImageError as error:
            return replace(found, error=str(error))
        except Exception as error:
            return replace(found, error=f"framing failed: {gist(error)}"[:200])

    def _found(self, read: ReadPhoto, face: Face, *, scored: bool) -> FoundFace:
        assert read.pixels is not None
        x, y, width, height = face.box
        rows, columns = read.pixels.shape[:2]
        if min(x + width, y + height) <= 0 or x >= columns or y >= rows:
            raise UnreadableImageError("the box lies outside the photo")
        box = _scaled(face, 1 / read.reduced).box
        stored = self._frame(read.pixels, face)
        return FoundFace(box, face.score if scored else None, stored)

    def _without_face(self, found: FoundPhoto, read: ReadPhoto) -> FoundPhoto:
        looked = self._detector is not None or self._boxes is not None
        if looked and self._no_face != "whole":
            return replace(found, no_face=self._no_face)
        assert read.pixels is not None
        height, width = (side / read.reduced for side in read.pixels.shape[:2])
        box = (0.0, 0.0, float(round(width)), float(round(height)))
        face = FoundFace(box, None, self._whole(read))
        return replace(found, faces=(face,), no_face="whole" if looked else None)

    def _whole(self, read: ReadPhoto) -> Pixels:
        """Return the whole photo as preparation would store it, bit for bit where that reads it."""
        assert read.pixels is not None
        if read.content is None:
            return self._preprocessing(read.pixels)
        grey = self._preprocessing.channels == 1
        pixels, _ = decode(read.content, grey=grey, shortest=self._preprocessing.decoded_side)
        return self._preprocessing(pixels)


def _scaled(face: Face, factor: float) -> Face:
    if factor == 1:
        return face
    x, y, width, height = (value * factor for value in face.box)
    points = None if face.points is None else face.points * np.float32(factor)
    return replace(face, box=(x, y, width, height), points=points)
