import sys
import time

import numpy as np
import pytest
from damaged_files import encoded, full_bomb, huge_header, progressive_bomb
from PIL import Image

from facialnet.data.decode import UnreadableImageError
from facialnet.inference import decoding_process
from facialnet.inference.decoding import decode_photo
from facialnet.inference.decoding_process import DecodingProcess


@pytest.fixture(scope="module")
def process():
    process = DecodingProcess()
    yield process
    process.close()


def test_it_decodes_as_this_process_does(process):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    for file in (
        encoded(Image.fromarray(pixels), "PNG"),
        encoded(Image.fromarray(pixels).resize((3000, 2500)), "JPEG"),
    ):
        here, there = decode_photo(file), process.decode(file)
        np.testing.assert_array_equal(there.pixels, here.pixels)
        assert there.reduced == here.reduced


def test_a_reason_comes_back_and_the_process_goes_on(process):
    for file, reason in ((b"no", "not a picture"), (huge_header(40_000, 40_000), "pixels")):
        with pytest.raises(UnreadableImageError, match=reason):
            process.decode(file)
    assert process.decode(encoded(Image.new("L", (20, 20)), "PNG")).pixels.shape == (20, 20, 3)


def test_what_takes_too_long_is_ended_in_time():
    impatient = DecodingProcess(seconds=0.3)
    try:
        begun = time.monotonic()
        with pytest.raises(UnreadableImageError, match=r"decoding took longer than 0\.3 s"):
            impatient.decode(progressive_bomb())
        assert time.monotonic() - begun < 15
        small = encoded(Image.new("L", (20, 20)), "PNG")
        assert impatient.decode(small).pixels.shape == (20, 20, 3)  # by a new one
        assert impatient.decode(small).pixels.shape == (20, 20, 3)  # whose time is for each picture
    finally:
        impatient.close()


def test_waiting_ends_too(monkeypatch, tmp_path):
    (tmp_path / "sleeping.py").write_text(
        "import sys, time; sys.stdout.write('R'); sys.stdout.flush(); time.sleep(60)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decoding_process.__spec__, "name", "sleeping")
    begun = time.monotonic()
    with pytest.raises(UnreadableImageError, match="took longer"):
        DecodingProcess(patience=0.3).decode(b"x")
    assert time.monotonic() - begun < 15


def test_a_crash_is_a_reason(process, monkeypatch, tmp_path):
    (tmp_path / "crashing.py").write_text(
        "import os, sys; sys.stdout.write('R'); sys.stdout.flush(); sys.stdin.buffer.read(8);"
        "os.abort()"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(decoding_process.__spec__, "name", "crashing")
    crashing = DecodingProcess()
    with pytest.raises(UnreadableImageError, match="decoding crashed"):
        crashing.decode(b"x" * 10)
    crashing.close()


def test_a_process_that_does_not_start_is_a_reason(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UnreadableImageError, match="does not start"):
        DecodingProcess().decode(b"x")


@pytest.mark.slow
def test_a_picture_just_below_the_limit_fits_into_the_memory(process):
    assert process.decode(full_bomb()).pixels.shape == (2048, 2048, 3)
