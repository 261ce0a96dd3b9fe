import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facialnet.data import decode as module
from facialnet.data.decode import UnreadableImageError, decode

# Where stored pixels go under each EXIF orientation, by the standard's own words.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],  # mirrored sideways
    3: lambda a: a[::-1, ::-1],  # turned by 180 degrees
    4: lambda a: a[::-1],  # mirrored upwards
    5: lambda a: a.swapaxes(0, 1),  # rows are the visual left side, from its top
    6: lambda a: np.rot90(a, -1),  # clockwise
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),  # against the clock
}


def save(path, array, mode=None, **options):
    Image.fromarray(array).convert(mode or "RGB").save(path, **options)
    return path


def smooth(height, width):
    """Return a picture that JPEG keeps nearly unchanged."""
    rows, columns = np.indices((height, width))
    red, green = 255 * rows // height, 255 * columns // width
    return np.dstack([red, green, 255 - red]).astype(np.uint8)


def reason_of(path):
    with pytest.raises(UnreadableImageError) as caught:
        decode(path, grey=True, shortest=100)
    reason = str(caught.value)
    assert 0 < len(reason) < 200
    assert "\n" not in reason
    return reason


@pytest.mark.parametrize(
    ("shortest", "divisor"), [(75, 8), (76, 4), (150, 4), (151, 2), (300, 2), (301, 1), (2000, 1)]
)
def test_a_large_jpeg_is_decoded_reduced_but_not_below_the_need(tmp_path, shortest, divisor):
    path = save(tmp_path / "a.jpg", smooth(600, 800), quality=95)
    pixels, reduced = decode(path, grey=False, shortest=shortest)
    assert reduced == 1 / divisor
    assert pixels.shape == (600 // divisor, 800 // divisor, 3)
    assert np.abs(pixels - smooth(600, 800)[::divisor, ::divisor].astype(int)).mean() < 4


@pytest.mark.parametrize("divisor", [2, 4, 8])
def test_no_side_gets_shorter_than_needed(tmp_path, divisor):
    for shortest in (48, 49, 56, 59, 78, 99, 161, 174):
        for side in (divisor * shortest - 1, divisor * shortest - 2, divisor * shortest):
            path = save(tmp_path / "a.jpg", np.zeros((side, side, 3), np.uint8))
            pixels, reduced = decode(path, grey=True, shortest=shortest)
            assert min(pixels.shape) >= shortest, (side, shortest)
            assert reduced == pytest.approx(pixels.shape[0] / side, abs=0.01)


def test_a_small_picture_is_left_as_it_is(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(40, 30))
    pixels, reduced = decode(path, grey=False, shortest=174)
    assert (pixels.shape, reduced) == ((40, 30, 3), 1)


@pytest.mark.parametrize("end", ["png", "bmp", "webp"])
def test_other_formats_are_never_reduced(tmp_path, end):
    options = {"lossless": True} if end == "webp" else {}
    path = save(tmp_path / f"a.{end}", smooth(400, 600), **options)
    pixels, reduced = decode(path, grey=False, shortest=50)
    assert reduced == 1
    np.testing.assert_array_equal(pixels, smooth(400, 600))


def test_grey_from_colour_and_colour_from_grey(tmp_path):
    path = save(tmp_path / "a.png", smooth(20, 30))
    grey, _ = decode(path, grey=True, shortest=10)
    assert np.abs(grey - smooth(20, 30) @ [0.299, 0.587, 0.114]).max() <= 1
    path = save(tmp_path / "b.png", smooth(20, 30), "L")
    colour, _ = decode(path, grey=False, shortest=10)
    for channel in range(3):
        np.testing.assert_array_equal(colour[..., channel], grey)


def test_palette_and_transparency(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    blocks = colours[np.arange(12) // 4][None].repeat(6, axis=0)
    palette = Image.fromarray(blocks).quantize(3)
    palette.save(tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").mode == "P"
    np.testing.assert_array_equal(decode(tmp_path / "p.png", grey=False, shortest=9)[0], blocks)
    clear = np.dstack([blocks, np.full(blocks.shape[:2], 128, np.uint8)])
    Image.fromarray(clear).save(tmp_path / "t.png")
    assert Image.open(tmp_path / "t.png").mode == "RGBA"
    np.testing.assert_array_equal(decode(tmp_path / "t.png", grey=False, shortest=9)[0], blocks)


@pytest.mark.parametrize("grey", [True, False])
def test_cmyk_jpeg(tmp_path, grey):
    Image.new("CMYK", (400, 400), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    pixels, reduced = decode(tmp_path / "a.jpg", grey=grey, shortest=100)
    expected = 76 if grey else (255, 0, 0)
    assert np.abs(pixels.astype(int) - expected).max() <= 4
    assert pixels.shape[:2] == (round(400 * reduced), round(400 * reduced))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_are_turned_upright(tmp_path, orientation):
    array = smooth(20, 30)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", array, exif=exif)
    np.testing.assert_array_equal(
        decode(path, grey=False, shortest=10)[0], UPRIGHT[orientation](array)
    )
    path = save(tmp_path / "a.jpg", smooth(200, 300), exif=exif, quality=95)
    pixels, reduced = decode(path, grey=False, shortest=100)
    expected = UPRIGHT[orientation](smooth(200, 300)[::2, ::2])
    assert reduced == 0.5
    assert np.abs(pixels - expected.astype(int)).mean() < 4


def test_an_empty_file(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert reason_of(tmp_path / "a.jpg") == "empty file"


@pytest.mark.parametrize("end", ["jpg", "png"])
def test_a_truncated_file(tmp_path, end):
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    path = save(tmp_path / f"a.{end}", noise)
    path.write_bytes(path.read_bytes()[:-4000])
    assert "truncated" in reason_of(path).lower()


@pytest.mark.parametrize("content", [b"\0", b"<html>not found</html>", b"\xff\xd8\xff"])
def test_what_is_not_a_picture(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason_of(tmp_path / "a.jpg") == "not a picture"


def test_a_missing_file_and_a_folder(tmp_path):
    assert "No such file" in reason_of(tmp_path / "a.jpg")
    reason_of(tmp_path)


def test_formats_that_no_face_data_set_uses_are_not_opened(tmp_path):
    for end in ("gif", "tiff", "ppm"):
        assert reason_of(save(tmp_path / f"a.{end}", smooth(9, 9))) == "not a picture"


def huge_png(path, width, height):
    """Write the header of a huge PNG and next to no data."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (50_000, 50_000)])
def test_huge_pictures_are_refused_by_their_header(tmp_path, width, height):
    reason = reason_of(huge_png(tmp_path / "a.png", width, height))
    assert "too many" in reason or "exceeds limit" in reason


def test_the_limit_is_the_number_of_pixels(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", smooth(20, 30))
    monkeypatch.setattr(module, "_MAX_PIXELS", 600)
    assert decode(path, grey=True, shortest=10)[0].shape == (20, 30)
    monkeypatch.setattr(module, "_MAX_PIXELS", 599)
    assert reason_of(path) == "30x20 pixels are too many"
