"""One process at a time in a folder: waiting, refusing, and what a kill leaves."""

import subprocess
import sys
import time

import pytest

from facialnet.errors import UserError
from facialnet.tuning.lock import alone_in

HOLD = """
import pathlib, sys, time
from facialnet.tuning.lock import alone_in
with alone_in(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder, seconds: float) -> subprocess.Popen:
    words = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    process = holder(tmp_path, 60)
    refused = pytest.raises(UserError, match=f"process {process.pid} on .* is at work in")
    with refused, alone_in(tmp_path):
        pytest.fail("two at once")
    process.kill()
    process.wait()
    with alone_in(tmp_path):
        pass


def test_waiting_ends_when_the_other_does(tmp_path):
    process = holder(tmp_path, 1)
    said = []
    begun = time.monotonic()
    with alone_in(tmp_path, say=said.append):
        assert process.wait(timeout=5) == 0
    assert time.monotonic() - begun > 0.5
    assert len(said) == 1
    assert said[0].endswith("waiting for its end")


def test_the_same_process_comes_again(tmp_path):
    for _ in range(2):
        with alone_in(tmp_path / "new"):
            pass
