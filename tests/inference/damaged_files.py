"""Files that people have and nobody wants: damaged, odd and hostile pictures."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def png_chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def huge_header(width, height):
    """A PNG whose header promises a huge picture, and next to no data."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    data = png_chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + header + data + png_chunk(b"IEND", b"")


def full_bomb(side=9_900):
    """A PNG below the limit of pixels that really has them, in a few hundred kilobytes."""
    image = Image.new("L", (side, side))
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def progressive_bomb(scans=3000, side=4000):
    """A progressive JPEG that orders thousands of passes over the picture."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True, quality=50)
    whole = file.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * scans + whole[-2:]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _photo(chance, side=64):
    return Image.fromarray(chance.integers(0, 256, (side, side, 3), np.uint8))


def _rotated(chance):
    exif = Image.Exif()
    exif[0x0112] = int(chance.integers(1, 9))
    return encoded(_photo(chance), "JPEG", exif=exif)


def _moving(chance):
    shots = [_photo(chance) for _ in range(3)]
    return encoded(shots[0], "GIF", save_all=True, append_images=shots[1:])


def _sixteen(chance):
    return encoded(Image.fromarray(chance.integers(0, 65536, (40, 40), np.uint16)), "PNG")


def _flipped(chance):
    file = bytearray(encoded(_photo(chance), ("JPEG", "PNG", "WEBP", "GIF")[chance.integers(4)]))
    for place in chance.integers(0, len(file), 12):
        file[place] ^= int(chance.integers(1, 256))
    return bytes(file)


def _cut(chance):
    file = encoded(_photo(chance), ("JPEG", "PNG", "WEBP", "BMP")[chance.integers(4)])
    return file[: int(chance.integers(1, len(file) - 20))]


# Name: how to make one, its ending, and whether it has an answer (None: that may be either).
KINDS = {
    "cut": (_cut, "jpg", None),  # a picture cut in its very end may still be whole
    "noise": (lambda chance: chance.bytes(int(chance.integers(1, 4000))), "jpg", False),
    "flipped": (_flipped, "png", None),
    "text": (lambda chance: b"GIF89a is how I begin, says this text", "gif", False),
    "wrong_ending": (lambda chance: encoded(_photo(chance), "PNG"), "jpg", True),
    "empty": (lambda chance: b"", "jpg", False),
    "dot": (lambda chance: encoded(Image.new("RGB", (1, 1)), "PNG"), "png", False),
    "line": (lambda chance: encoded(Image.new("L", (1, 20_000)), "PNG"), "png", False),
    "huge": (lambda chance: huge_header(30_000, 30_000), "png", False),
    "moving": (_moving, "gif", True),
    "cmyk": (lambda chance: encoded(_photo(chance).convert("CMYK"), "JPEG"), "jpg", True),
    "sixteen": (_sixteen, "png", True),
    "rotated": (_rotated, "jpeg", True),
    "video": (lambda chance: chance.bytes(2000), "mp4", False),
}


def write_damaged(folder, count, seed=0):
    """Write ``count`` files of all KINDS in turn; return path to whether there is an answer."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    expected = {}
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        make, ending, answered = KINDS[kind]
        path = folder / f"{number:05}_{kind}.{ending}"
        path.write_bytes(make(chance))
        expected[str(path)] = answered
    return expected
