"""What the page says to an uploaded photo: faces, answers, reasons."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from facialnet.data.decode import UnreadableImageError
from facialnet.errors import UserError
from facialnet.explanation.explainer import Explainer
from facialnet.explanation.feature_maps import feature_map_figure
from facialnet.explanation.figures import explanation_figure
from facialnet.explanation.verdict import verdict
from facialnet.inference.answers import FaceAnswer
from facialnet.inference.app.uploads import taken
from facialnet.inference.predictor import Answered, Predictor

_SHOWN_FACES = 12  # with bars; boxes are drawn around all
_EXPLAINED_FACES = 2
_LONGEST = 1200  # pixels of the photo that is sent back
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class ShownFace:
    """A face as it stands on the page; pictures are addresses that hold all of their content.

    Attributes:
        number: from 1, as beside its box.
        answer: what is said about it.
        view: what the network saw.
        maps: what speaks for the answers; empty where it is not explained.
        verdicts: a line for each map: whether it means anything.
        feature_maps: of every convolution; empty where it is not explained.
    """

    number: int
    answer: FaceAnswer
    view: str
    maps: str = ""
    verdicts: tuple[str, ...] = ()
    feature_maps: str = ""


class PhotoDesk:
    """Answer uploaded photos with a piece of HTML, and keep nothing of them.

    Args:
        predictor: the network, its detector and its policies.
        explainer: of the same network; None: no reasons are given.
        folder: where uploads lie.
    """

    def __init__(self, predictor: Predictor, explainer: Explainer | None, folder: Path) -> None:
        self._predictor = predictor
        self._explainer = explainer
        self._folder = folder

    def answer(self, upload: str | None) -> Iterator[str]:
        """Yield the answer, and then once more with reasons.

        Args:
            upload: path of the uploaded file, which is deleted; None: nothing was chosen.
        """
        if upload is None:
            yield ""
            return
        try:
            with taken(upload, self._folder) as place:
                answered = self._predictor.answer_bytes(place.read_bytes(), "photo")
        except UnreadableImageError as error:
            yield _problem(str(error))
            return
        if answered.answer.error is not None:
            yield _problem(f"This photo cannot be read: {answered.answer.error}.")
            return
        faces = self._shown(answered)
        reasons = self._explainer is not None and bool(faces)
        yield _page(answered, faces, waiting=reasons)
        if reasons:
            yield self._explained(answered, faces)

    def _shown(self, answered: Answered) -> list[ShownFace]:
        view = self._predictor.network.view
        pairs = zip(answered.answer.faces, answered.found.faces, strict=True)
        return [
            ShownFace(number, answer, _png(view(face.stored)))
            for number, (answer, face) in enumerate(pairs, start=1)
            if number <= _SHOWN_FACES
        ]

    def _explained(self, answered: Answered, faces: list[ShownFace]) -> str:
        try:
            explained = [self._with_reasons(face, answered) for face in faces[:_EXPLAINED_FACES]]
        except UserError as error:  # a network whose answers Grad-CAM cannot explain
            return _page(answered, faces, waiting=False, note=str(error))
        return _page(answered, [*explained, *faces[_EXPLAINED_FACES:]], waiting=False)

    def _with_reasons(self, face: ShownFace, answered: Answered) -> ShownFace:
        assert self._explainer is not None
        view = self._predictor.network.view(answered.found.faces[face.number - 1].stored)
        pixels = torch.from_numpy(np.ascontiguousarray(view)).permute(2, 0, 1)[None]
        image = pixels.to(next(self._explainer.network.parameters()).device)
        found = self._explainer.explain(image)
        layers = feature_map_figure(self._explainer.network, image, channels=32)
        return replace(
            face,
            maps=_drawn(explanation_figure(view, found), dpi=110),
            verdicts=tuple(
                verdict(each, method) for each in found.values() for method in each.maps
            ),
            feature_maps="" if layers is None else _drawn(layers, dpi=100),
        )


def _page(answered: Answered, faces: list[ShownFace], *, waiting: bool, note: str = "") -> str:
    pixels, reduced = answered.found.pixels, answered.found.reduced
    assert pixels is not None
    height, width = (side / reduced for side in pixels.shape[:2])
    return _render(
        photo=_jpeg(pixels),
        width=width,
        height=height,
        answer=answered.answer,
        faces=faces,
        waiting=waiting,
        note=note,
    )


def _problem(text: str) -> str:
    return _render(problem=text)


def _render(problem: str = "", **content: Any) -> str:
    return _TEMPLATES.get_template("answer.html.j2").render(problem=problem, **content)


def _drawn(figure: Figure, *, dpi: int) -> str:
    file = io.BytesIO()
    figure.savefig(file, dpi=dpi, format="png")
    return _address(file.getvalue(), "png")


def _png(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return _address(file.getvalue(), "png")


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    """Return a photo as it is shown, without what the file said about place and camera."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((_LONGEST, _LONGEST))
    image.save(file, "JPEG", quality=88)
    return _address(file.getvalue(), "jpeg")


def _address(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
