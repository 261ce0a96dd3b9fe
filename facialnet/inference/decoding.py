"""Decoding any photo that people have, within bounds of size, memory and time.

Beyond what data sets are read with (``data.decode``): transparency on white, 16 bits, GIF, AVIF,
and HEIC where pillow-heif is installed.
"""

import io
import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from facialnet.data.decode import UnreadableImageError
from facialnet.errors import gist

MAX_SIDE = 2048  # longer sides are reduced to this: faces are found, memory stays small
MAX_BYTES = 100_000_000  # of a file
MAX_PIXELS = 100_000_000  # of a picture, by its header
MIN_SIDE = 16  # below, there is no face to be told from another
_LIGHT_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
_LIGHT_PIXELS = 16_000_000  # what any of these decodes in a fraction of a second
_MAX_SCANS = 100  # of a progressive JPEG; cameras write about ten
_KNOWN = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "AVIF", "HEIF")
_SCAN = re.compile(rb"\xff\xda")


class HeavyPictureError(Exception):
    """Say that a picture may take long, so that it is decoded in a process of its own."""


@dataclass(frozen=True)
class Decoded:
    """A decoded photo.

    Attributes:
        pixels: uint8 [H, W, 3], RGB, upright, neither side above MAX_SIDE.
        reduced: factor, at most 1, by which they are smaller than the photo.
        plain: whether the reader of data sets decodes the photo to the same picture; see
            ``data.decode``.
    """

    pixels: NDArray[np.uint8]
    reduced: float
    plain: bool = False


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises UnreadableImageError where it is missing, empty, too large, or no plain file: pipes and
    devices would block.
    """
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise UnreadableImageError("a folder, not a picture")
        if not stat.S_ISREG(about.st_mode):
            raise UnreadableImageError("not a plain file")
        if about.st_size == 0:
            raise UnreadableImageError("empty file")
        if about.st_size > MAX_BYTES:
            raise UnreadableImageError(f"{about.st_size:,} bytes are too many")
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except FileNotFoundError:
        raise UnreadableImageError("there is no such file") from None
    except PermissionError:
        raise UnreadableImageError("permission denied") from None
    except (OSError, ValueError) as error:
        raise UnreadableImageError(getattr(error, "strerror", None) or gist(error)) from error


def decode_photo(content: bytes, *, allow_heavy: bool = True) -> Decoded:
    """Decode a photo, its first picture where there are several.

    Args:
        content: of the file.
        allow_heavy: decode also what may take seconds; see HeavyPictureError.

    Raises:
        UnreadableImageError: the content is truncated, too large, too small or not a picture.
        HeavyPictureError: the picture is heavy and ``allow_heavy`` is False.
    """
    if not content:
        raise UnreadableImageError("empty file")
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            _check_size(*image.size)
            if not allow_heavy and _is_heavy(image, content):
                raise HeavyPictureError
            longest = max(image.size)
            plain = not _is_heavy(image, content) and _is_plain(image)
            if longest > MAX_SIDE:
                # rounded up, so that no draft is smaller than what is asked for
                width, height = (-(-side * MAX_SIDE // longest) for side in image.size)
                image.draft("RGB", (width, height))
            pixels, _ = bounded(as_rgb(image))
        return Decoded(pixels, max(pixels.shape[:2]) / longest, plain)
    except (UnreadableImageError, HeavyPictureError):
        raise
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise UnreadableImageError("decoding takes too much memory") from None
    except Exception as error:  # Pillow's decoders raise many kinds for a broken file
        raise UnreadableImageError(_reason(error)) from error


def as_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Return a picture upright as uint8 [H, W, 3], RGB; transparent parts are white."""
    upright = _upright(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        grey = _to_8_bits(np.asarray(upright))
        return np.repeat(grey[..., None], 3, axis=2)
    if upright.has_transparency_data:
        coloured = upright.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        upright = Image.alpha_composite(white, coloured)
    return np.asarray(upright.convert("RGB"), np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF data beside sound pixels, read by Pillow in many ways
        return image


def bounded(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Reduce pixels [H, W] or [H, W, 3] to at most MAX_SIDE a side; also return the factor."""
    longest = max(pixels.shape[:2])
    if longest <= MAX_SIDE:
        return pixels, 1.0
    height, width = (max(1, round(side * MAX_SIDE / longest)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), MAX_SIDE / longest


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"{width}x{height} pixels are too many")
    if min(width, height) < MIN_SIDE:
        raise UnreadableImageError(f"{width}x{height} pixels are too few for a face")


def _is_plain(image: Image.Image) -> bool:
    known = image.format in ("JPEG", "MPO", "PNG", "WEBP", "BMP")
    return known and image.mode in ("L", "RGB", "CMYK") and not image.has_transparency_data


def _is_heavy(image: Image.Image, content: bytes) -> bool:
    if image.format not in (*_LIGHT_FORMATS, "MPO"):
        return True
    if image.size[0] * image.size[1] > _LIGHT_PIXELS:
        return True
    # A few kilobytes can order thousands of passes over a JPEG.
    return image.format in ("JPEG", "MPO") and _count(_SCAN, content, _MAX_SCANS) >= _MAX_SCANS


def _count(pattern: re.Pattern[bytes], content: bytes, most: int) -> int:
    count = 0
    for count, _ in enumerate(pattern.finditer(content), start=1):
        if count >= most:
            break
    return count


def _to_8_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale grey values of more than 8 bits: 16 bits by 1/257, anything else by its own range.

    16 bits that hold a sensor's 10 or 12 would be nearly black, so they go by their range too.
    """
    numbers = np.nan_to_num(np.asarray(values, np.float32))
    low, high = float(numbers.min()), float(numbers.max())
    if low >= 0 and 4096 <= high <= 65535:
        low, high = 0.0, 65535.0
    elif low >= 0:
        low = 0.0
    span = high - low
    scaled = (numbers - low) * (255.0 / span) if span > 0 else np.zeros_like(numbers)
    return np.asarray(scaled.round(), np.uint8)


def _reason(error: Exception) -> str:
    reason = gist(error)
    if "cannot identify" in reason:
        return "not a picture of a known kind"
    return f"damaged: {reason}"[:200]


@cache
def _formats() -> tuple[str, ...]:
    """Return what Pillow may open: few decoders, few holes."""
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:  # HEIC is then named as not known
        pass
    Image.init()
    return tuple(name for name in _KNOWN if name in Image.OPEN)
