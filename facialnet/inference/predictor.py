"""From photos to answers: ``Predictor.from_checkpoint(path).predict(image or list)``."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facialnet.data.decode import UnreadableImageError
from facialnet.data.faces.engines import fastest_engine
from facialnet.data.faces.face import Detector
from facialnet.data.faces.given import GivenFaces
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.errors import UserError
from facialnet.inference.answers import FaceAnswer, PhotoAnswer
from facialnet.inference.checkpoint_network import CheckpointNetwork
from facialnet.inference.decoding import as_rgb
from facialnet.inference.finding import FaceFinder, FoundPhoto
from facialnet.inference.network import TrainedNetwork
from facialnet.inference.onnx_network import SUFFIX as ONNX
from facialnet.inference.onnx_network import OnnxNetwork
from facialnet.inference.photos import Photo

ImageLike = str | os.PathLike[str] | Image.Image | NDArray[Any]
DEFAULT_CHECKPOINT = Path(__file__).resolve().parents[1] / "weights" / "default.safetensors"
_HELD_BYTES = 256 << 20  # of pixels that wait for their batch to fill


@dataclass(frozen=True)
class Answered:
    """An answer beside what was looked at.

    Attributes:
        answer: the answer.
        found: photo, framed faces, and the photo's pixels where they were asked for.
    """

    answer: PhotoAnswer
    found: FoundPhoto


class Predictor:
    """Find the faces of photos and tell what the network of a checkpoint says about them.

    Args:
        network: see ``read_network``.
        detector: finds faces; ``"default"``: RetinaFace; None: every photo is one face and taken
            whole, as cropped data sets are.
        boxes: a CSV file with faces of your own, instead of a detector; see GivenFaces.
        faces: ``all`` of a photo, or the ``largest``.
        no_face: what happens to a photo without a face: it is taken ``whole``, left without an
            answer (``skip``), or ends everything with an error (``stop``).
        threshold: answers of a lower probability are marked as not sure; 0 to 1.
        batch_size: faces that go through the network together.
        threads: that decode and detect; None: as many as there are processors.
    """

    def __init__(
        self,
        network: TrainedNetwork,
        *,
        detector: Detector | str | None = "default",
        boxes: str | Path | None = None,
        faces: str = "all",
        no_face: str = "whole",
        threshold: float = 0.0,
        batch_size: int = 64,
        threads: int | None = None,
    ) -> None:
        if not 0 <= threshold <= 1:
            raise UserError(f"threshold={threshold} must lie between 0 and 1")
        if batch_size < 1:
            raise UserError(f"batch_size={batch_size} must be at least 1")
        if isinstance(detector, str):
            if detector != "default":
                raise UserError(f"detector={detector!r}: give 'default', None or a detector")
            detector = RetinaFace(engine=fastest_engine) if boxes is None else None
        self.network = network
        self._threshold = threshold
        self._batch_size = batch_size
        self._finding: dict[str, Any] = {
            "frame": network.frame,
            "preprocessing": network.preprocessing,
            "detector": detector,
            "boxes": None if boxes is None else GivenFaces(csv=boxes).faces,
            "faces": faces,
            "no_face": no_face,
            "threads": threads or os.cpu_count() or 1,
        }
        FaceFinder(**self._finding)  # says at once what is wrong with the arguments

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        views: str | None = None,
        device: str = "auto",
        **options: Any,
    ) -> "Predictor":
        """Read a checkpoint.

        Args:
            path: the file; None: the one that comes with facialnet. An ``.onnx`` file that
                ``facialnet.export`` wrote answers faster on a processor.
            views: ``single``, ``mirror`` or ``ten_crop``; None: as the checkpoint was tested.
            device: ``auto``, or a device of PyTorch.
            options: those of the class.

        Raises UserError where there is no checkpoint: nothing is ever answered untrained.
        """
        network = read_network(checkpoint_path(path), views=views, device=device)
        return cls(network, **options)

    def predict(self, images: ImageLike | Sequence[ImageLike]) -> list[PhotoAnswer]:
        """Return an answer for each image; what cannot be read has an error instead of faces.

        Args:
            images: one or several of: path, http(s) address, PIL image, uint8 array [H, W, 3]
                (RGB), [H, W] or [H, W, 1].

        Raises UserError for an array of another kind, and under ``no_face="stop"``.
        """
        single = isinstance(images, str | os.PathLike | Image.Image | np.ndarray)
        several: Sequence[Any] = [images] if single else images  # type: ignore[assignment]
        photos = (_photo(image, number) for number, image in enumerate(several))
        return [answered.answer for answered in self.stream(photos)]

    def answer_bytes(self, content: bytes, name: str) -> Answered:
        """Return the answer to the content of one file, with its pixels.

        Args:
            content: of a picture file.
            name: path that the answer is to have.
        """
        return next(self.stream([Photo(name, content=content)], keep_pixels=True))

    def stream(self, photos: Iterable[Photo], *, keep_pixels: bool = False) -> Iterator[Answered]:
        """Yield the answer to each photo, in their order, in batches of faces from many photos.

        Memory does not grow with their number.

        Args:
            photos: such as from ``find_photos``.
            keep_pixels: whether the photos' pixels come with the answers.
        """
        finder = FaceFinder(**self._finding, keep_pixels=keep_pixels)
        waiting: deque[FoundPhoto] = deque()
        faces = held = 0
        with closing(finder.find(photos)) as found:  # type: ignore[type-var]
            try:
                for each in found:
                    waiting.append(each)
                    faces += len(each.faces)
                    held += 1024 + (0 if each.pixels is None else each.pixels.nbytes)
                    if faces >= self._batch_size or held >= _HELD_BYTES:
                        yield from self._answered(waiting)
                        waiting.clear()
                        faces = held = 0
            except UserError:  # the policy "stop": what comes before is answered
                yield from self._answered(waiting)
                raise
        yield from self._answered(waiting)

    def _answered(self, found: Sequence[FoundPhoto]) -> Iterator[Answered]:
        faces = [face.stored for each in found for face in each.faces]
        batches = [
            self.network.probabilities(np.stack(faces[start : start + self._batch_size]))
            for start in range(0, len(faces), self._batch_size)
        ]
        probabilities = {
            name: np.concatenate([batch[name] for batch in batches]) if batches else np.empty(0)
            for name in self.network.tasks
        }
        row = 0
        for each in found:
            answers = []
            for face in each.faces:
                answer = self.network.answers(probabilities, row, self._threshold)
                answers.append(FaceAnswer(face.box, face.detection, answer))
                row += 1
            yield Answered(
                PhotoAnswer(
                    path=each.photo.path,
                    error=each.error,
                    faces=tuple(answers),
                    no_face=each.no_face,
                    frame=each.photo.frame,
                    time=each.photo.time,
                ),
                each,
            )


def checkpoint_path(path: str | os.PathLike[str] | None) -> Path:
    """Return the checkpoint to use; raises UserError where none is named and none is there."""
    if path is not None:
        return Path(path)
    if not DEFAULT_CHECKPOINT.is_file():
        raise UserError(
            "no checkpoint: this copy of facialnet comes without one; train a network (python -m "
            "facialnet.train) and name its file: --checkpoint outputs/…/checkpoints/best.ckpt"
        )
    return DEFAULT_CHECKPOINT


def read_network(path: Path, *, views: str | None = None, device: str = "auto") -> TrainedNetwork:
    """Read a checkpoint, or an ONNX file that was exported from one.

    Raises UserError where that is not possible, and for views or a device that an ONNX file does
    not have.
    """
    if path.suffix != ONNX:
        return CheckpointNetwork.read(path, views=views, device=device)
    if device not in ("auto", "cpu"):
        raise UserError(
            f"--device {device}: ONNX files are answered by the processor; name the checkpoint "
            f"that {path.name} was made of"
        )
    network = OnnxNetwork(path)
    if views not in (None, network.views_name):
        raise UserError(
            f"--views {views}: {path.name} has views={network.views_name} in it; name the "
            "checkpoint that it was made of"
        )
    return network


def _photo(image: ImageLike, number: int) -> Photo:
    if isinstance(image, str | os.PathLike):
        return Photo(os.fspath(image))
    name = f"image {number}"
    if isinstance(image, Image.Image):
        try:
            return Photo(name, np.array(as_rgb(image)))
        except (OSError, ValueError, UnreadableImageError) as error:
            return Photo(name, error=f"damaged: {error}")
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not shaped or 0 in pixels.shape:
        raise UserError(
            f"{name}: expected uint8 [H, W, 3] (RGB) or [H, W], got {pixels.dtype} "
            f"{list(pixels.shape)}"
        )
    return Photo(name, pixels)
