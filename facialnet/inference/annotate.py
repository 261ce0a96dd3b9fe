"""Photos and videos with boxes and answers drawn on them."""

import os
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from facialnet.errors import UserError
from facialnet.inference.answers import FaceAnswer
from facialnet.inference.photos import is_address
from facialnet.inference.predictor import Answered
from facialnet.inference.video import VideoWriter

_COLOURS = {True: (46, 160, 67), False: (219, 132, 0)}  # sure, not sure
_RATE = 25.0


class Annotator:
    """Write annotated copies into a folder, under the names that the photos have.

    A photo below the current folder keeps its path below it, another one its whole path. A video
    becomes an MP4 file; one that is gone on with in its middle is named after its first frame.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._video: VideoWriter | None = None
        self._video_path = ""
        self._first: Answered | None = None

    def write(self, answered: Answered) -> None:
        """Draw one answer; photos that could not be read are left out."""
        if answered.found.pixels is None:
            return
        picture = draw_answer(answered)
        if answered.answer.frame is None:
            place = self.folder / copy_name(answered.answer.path)
            original = Path(answered.answer.path)
            if place.exists() and original.exists() and place.samefile(original):
                raise UserError(
                    f"--annotate {self.folder} would write over the photos; choose another folder"
                )
            place.parent.mkdir(parents=True, exist_ok=True)
            partial = place.with_name(f"{place.stem}.partial{place.suffix}")
            Image.fromarray(picture).save(partial, quality=92)
            partial.replace(place)
        else:
            self._write_frame(answered, picture)

    def close(self) -> None:
        """End the video that is being written, if any."""
        if self._first is not None and self._video is None:
            self._begin(_RATE)  # a video of a single frame
        if self._video is not None:
            self._video.close()
        self._video = self._first = None
        self._video_path = ""

    def _write_frame(self, answered: Answered, picture: NDArray[np.uint8]) -> None:
        answer = answered.answer
        if answer.path != self._video_path or answer.frame == 0:
            self.close()
            self._video_path, self._first = answer.path, answered
            return
        if self._video is None and self._first is not None:
            first = self._first.answer
            frames = (answer.frame or 0) - (first.frame or 0)
            seconds = (answer.time or 0.0) - (first.time or 0.0)
            self._begin(frames / seconds if seconds > 0 else _RATE)
        if self._video is not None:
            self._video.write(picture)

    def _begin(self, rate: float) -> None:
        assert self._first is not None
        picture = draw_answer(self._first)
        number = self._first.answer.frame
        place = self.folder / copy_name(self._video_path, (".mp4",))
        if number:
            place = place.with_stem(f"{place.stem}.from-{number}")
        self._video = VideoWriter(place, size=(picture.shape[1], picture.shape[0]), rate=rate)
        self._video.write(picture)


def copy_name(path: str, endings: tuple[str, ...] = (".jpg", ".jpeg")) -> Path:
    """Return the relative path of an annotated copy.

    A path with another ending than these keeps it before the first of them, so that two photos
    never share a copy.
    """
    if is_address(path) or path.startswith("webcam:"):
        relative = Path(re.sub(r"[^\w.-]+", "_", path)[:200])
    else:
        whole = Path(os.path.normpath(Path(path).absolute()))
        inside = whole.is_relative_to(Path.cwd())
        relative = whole.relative_to(Path.cwd() if inside else whole.anchor)
    if relative.suffix.lower() in endings:
        return relative
    return relative.with_name(f"{relative.name}{endings[0]}")


def draw_answer(answered: Answered) -> NDArray[np.uint8]:
    """Return the photo's pixels, uint8 [H, W, 3], with a box and a few words for each face."""
    pixels = answered.found.pixels
    assert pixels is not None
    image = Image.fromarray(pixels).convert("RGB")
    brush = ImageDraw.Draw(image)
    side = max(image.size)
    for face in answered.answer.faces:
        _draw_face(brush, face, answered.found.reduced, side)
    return np.array(image)


def _draw_face(brush: ImageDraw.ImageDraw, face: FaceAnswer, reduced: float, side: int) -> None:
    x, y, width, height = (value * reduced for value in face.box)
    thick = max(1, side // 300)
    colour = _COLOURS[all(answer.sure for answer in face.answers.values())]
    brush.rectangle((x, y, x + width, y + height), outline=colour, width=thick)
    words = "\n".join(answer.text() for answer in face.answers.values())
    font = _font(max(10, side // 50))
    left, top, right, bottom = brush.multiline_textbbox((0, 0), words, font=font)
    # Above the box where there is room, else inside it.
    place = (max(0.0, x), y - (bottom - top) - 4 if y > bottom - top + 4 else y + thick)
    area = (place[0], place[1], place[0] + right - left + 6, place[1] + bottom - top + 4)
    brush.rectangle(area, fill=colour)
    brush.multiline_text((place[0] + 3 - left, place[1] + 2 - top), words, "white", font=font)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
