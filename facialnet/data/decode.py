"""Reading one picture file, no larger than needed."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facialnet.errors import gist

_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
)  # only what face data sets use: fewer decoders, fewer holes
_MAX_PIXELS = 100_000_000


class UnreadableImageError(Exception):
    """Say why a file is not a usable picture."""


def decode(source: Path | bytes, *, grey: bool, shortest: int) -> tuple[NDArray[np.uint8], float]:
    """Decode a picture upright.

    A JPEG far larger than needed is decoded at 1/2, 1/4 or 1/8 of its size, which costs a fraction.

    Args:
        source: the file, or its content.
        grey: decode to one channel.
        shortest: the shorter side may be reduced down to this many pixels, not below.

    Returns:
        uint8 [H, W] or [H, W, 3], and the factor (at most 1) by which the picture was reduced.

    Raises:
        UnreadableImageError: the file is missing, empty, truncated, too large or not a picture.
    """
    try:
        if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
            raise UnreadableImageError("empty file")
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > _MAX_PIXELS:
                raise UnreadableImageError(f"{width}x{height} pixels are too many")
            mode = "L" if grey else "RGB"
            least = min(width, height)
            if shortest < least:
                # rounded up, in whole numbers: one less would allow a picture that is too small
                image.draft(mode, (-(-width * shortest // least), -(-height * shortest // least)))
            reduced = image.size[0] / width
            upright = ImageOps.exif_transpose(image).convert(mode)
        return np.asarray(upright, np.uint8), reduced
    except UnreadableImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for a broken file
        reason = gist(error)
        if "cannot identify" in reason:
            reason = "not a picture"
        raise UnreadableImageError(reason) from error
