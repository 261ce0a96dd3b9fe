import io
import os
import threading

import numpy as np
import pytest
from damaged_files import huge_header, progressive_bomb
from PIL import Image

from facialnet.data.decode import UnreadableImageError, decode
from facialnet.inference import decoding
from facialnet.inference.decoding import HeavyPictureError, decode_photo, read_bytes

RED, GREEN = (255, 0, 0), (0, 255, 0)


def content(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def blocks(width=48, height=32):
    """Left half red, right half green."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, GREEN
    return pixels


def decoded(image, kind="PNG", **options):
    return decode_photo(content(image, kind, **options)).pixels


def test_grey_becomes_three_equal_channels():
    ramp = np.tile(np.arange(64, dtype=np.uint8), (32, 1))
    np.testing.assert_array_equal(decoded(Image.fromarray(ramp)), np.dstack([ramp] * 3))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP"])
def test_colours_come_through(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decoded(Image.fromarray(blocks()), kind, **options), blocks())


@pytest.mark.parametrize("kind", ["AVIF", "JPEG"])
def test_lossy_kinds_come_near(kind):
    pixels = decoded(Image.fromarray(blocks()), kind, quality=95)
    assert np.abs(pixels[:, 4:18].astype(int) - blocks()[:, 4:18]).mean() < 6


def test_heic_is_read_where_its_library_is():
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    pixels = decoded(Image.fromarray(blocks(64, 64)), "HEIF", quality=95)
    assert pixels.shape == (64, 64, 3)
    assert np.abs(pixels[:, 4:28].astype(int) - blocks(64, 64)[:, 4:28]).mean() < 8


def test_cmyk():
    pixels = decoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", quality=95)
    assert np.abs(pixels.astype(int) - RED).max() <= 6


def test_transparent_parts_are_white_in_every_kind_of_transparency():
    clear = np.dstack([blocks(), np.full((32, 48), 255, np.uint8)])
    clear[:, 24:, 3] = 0
    half = clear.copy()
    half[:, 24:, 3] = 128
    assert (decoded(Image.fromarray(clear))[:, 24:] == 255).all()
    assert (decoded(Image.fromarray(clear))[:, :24] == RED).all()
    assert np.abs(decoded(Image.fromarray(half))[:, 24:].astype(int) - (127, 255, 127)).max() <= 1
    grey = Image.fromarray(np.zeros((32, 32), np.uint8)).convert("LA")
    grey.putalpha(0)
    assert (decoded(grey) == 255).all()
    palette = Image.fromarray(blocks()).quantize(2)
    green = palette.getpixel((40, 0))
    assert (decoded(palette, transparency=green)[:, 24:] == 255).all()
    np.testing.assert_array_equal(decoded(palette), blocks())


@pytest.mark.parametrize("high", [65535, 40000, 4096])
def test_sixteen_bits_keep_their_brightness(high):
    ramp = np.linspace(0, high, 64).astype(np.uint16)
    pixels = decoded(Image.fromarray(np.tile(ramp, (32, 1))))[..., 0]
    assert np.abs(pixels[0].astype(float) - ramp / 257.0).max() <= 0.51
    assert len(np.unique(pixels)) > min(60, high / 300)  # not clipped to white


def test_twelve_bits_in_sixteen_are_not_black():
    ramp = np.linspace(0, 4095, 64).astype(np.uint16)
    pixels = decoded(Image.fromarray(np.tile(ramp, (32, 1))))[0, :, 0]
    assert np.abs(pixels.astype(float) - np.linspace(0, 255, 64)).max() <= 1


def test_black_sixteen_bits():
    assert (decoded(Image.fromarray(np.zeros((32, 32), np.uint16))) == 0).all()


def test_one_bit():
    assert (decoded(Image.new("1", (32, 32), 1)) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright_as_data_sets_are(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = content(Image.fromarray(blocks()), "JPEG", exif=exif, quality=95)
    expected, _ = decode(file, grey=False, shortest=32)
    np.testing.assert_array_equal(decode_photo(file).pixels, expected)
    assert expected.shape[:2] == ((32, 48) if orientation < 5 else (48, 32))


def test_broken_exif_beside_sound_pixels_does_no_harm():
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + os.urandom(40)
    file = content(Image.fromarray(blocks()), "JPEG", exif=exif)
    assert decode_photo(file).pixels.shape == (32, 48, 3)


def test_of_a_moving_picture_the_first_is_taken():
    shots = [Image.fromarray(np.full((32, 32, 3), value, np.uint8)) for value in (0, 90, 200)]
    for kind in ("GIF", "WEBP"):
        file = content(shots[0], kind, save_all=True, append_images=shots[1:], lossless=True)
        assert (decode_photo(file).pixels == 0).all()


def test_large_photos_are_reduced_and_say_by_how_much():
    tall = Image.fromarray(blocks(1500, 6000))
    for kind in ("JPEG", "PNG"):
        result = decode_photo(content(tall, kind))
        assert result.pixels.shape[0] == 2048
        assert result.pixels.shape[1] == pytest.approx(512, abs=1)
        assert result.reduced == pytest.approx(2048 / 6000, rel=1e-3)


def test_plain_photos_are_those_that_data_sets_decode_alike(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    clear = noise.convert("RGBA")
    clear.putalpha(100)
    sixteen = Image.fromarray(np.full((32, 32), 9000, np.uint16))
    for image, kind, plain in (
        (noise, "JPEG", True),
        (noise, "PNG", True),
        (noise, "GIF", False),
        (clear, "PNG", False),
        (sixteen, "PNG", False),
        (noise.convert("CMYK"), "JPEG", True),
    ):
        file = content(image, kind)
        result = decode_photo(file)
        assert result.plain is plain, (image.mode, kind)
        if plain:
            np.testing.assert_array_equal(
                result.pixels, decode(file, grey=False, shortest=10_000)[0]
            )


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (15, 300), (20_000, 3)])
def test_pictures_too_small_for_a_face_are_named(size):
    with pytest.raises(UnreadableImageError, match=f"{size[0]}x{size[1]} pixels are too few"):
        decoded(Image.new("L", size))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(30_000, 30_000), (12_000, 9_000)])
def test_huge_pictures_are_refused_by_their_header(size):
    with pytest.raises(UnreadableImageError, match="pixels"):
        decode_photo(huge_header(*size))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "empty file"),
        (b"\0" * 100, "not a picture"),
        (b"<html>not found</html>", "not a picture"),
        (content(Image.fromarray(blocks()), "TIFF"), "not a picture"),
        (content(Image.fromarray(blocks()), "PPM"), "not a picture"),
        (content(Image.effect_noise((80, 80), 50))[:-3000], "damaged"),
        (content(Image.effect_noise((80, 80), 50), "JPEG")[:-900], "damaged"),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(file, reason):
    with pytest.raises(UnreadableImageError, match=reason) as caught:
        decode_photo(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 220


def test_heavy_pictures_are_not_decoded_here_unless_asked():
    light = content(Image.fromarray(blocks()), "JPEG", progressive=True)
    for heavy in (
        content(Image.new("L", (5000, 4000)), "PNG"),
        content(Image.fromarray(blocks()), "AVIF"),
        progressive_bomb(),
    ):
        with pytest.raises(HeavyPictureError):
            decode_photo(heavy, allow_heavy=False)
    assert decode_photo(light, allow_heavy=False).pixels.shape == (32, 48, 3)


def test_reading_refuses_what_is_no_plain_file(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for a writer for ever
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(b"123456")
    monkeypatch.setattr(decoding, "MAX_BYTES", 5)
    for name, reason in (
        ("pipe.jpg", "not a plain file"),
        ("empty.jpg", "empty file"),
        ("large.jpg", "6 bytes are too many"),
        ("missing.jpg", "there is no such file"),
        (".", "a folder"),
        ("a\0b", "null"),
    ):
        with pytest.raises(UnreadableImageError, match=reason):
            read_bytes(tmp_path / name)


def test_threads_may_decode_together():
    file, results = content(Image.fromarray(blocks()), "PNG"), []
    threads = [
        threading.Thread(target=lambda: results.append(decode_photo(file).pixels)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((pixels == blocks()).all() for pixels in results)
