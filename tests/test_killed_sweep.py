"""A five-fold sweep that was killed twice ends with the table of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from commands import QUICK, command

FOLDS = 5
# What may differ: times, speed, and where the sweep lies.
VARYING = ("latency", "seconds", "images_per_second", "folder")


def sweep(drawn_data: list[str], outputs: Path) -> list[str]:
    return [
        "-m",
        "facialnet.train",
        "-m",
        "+experiment=demo",
        "+sweep=folds",
        *drawn_data,
        "callbacks.graph=null",
        "callbacks.feature_maps=null",
        "trainer.max_epochs=2",
        f"paths.outputs={outputs}",
    ]


def kill_when(words: list[str], folder: Path, done: int) -> None:
    """Start the sweep and SIGKILL it in the middle of the job after ``done`` finished ones."""
    started = subprocess.Popen(
        [sys.executable, *words],
        env=QUICK,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        finished = {path.parent for path in folder.glob("*/results.json")}
        begun = {path.parent.parent for path in folder.glob("*/checkpoints/last.ckpt")}
        if len(finished) >= done and begun - finished:
            break
        assert started.poll() is None, "the sweep ended before it was killed"
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert len(list(folder.glob("*/results.json"))) < FOLDS


def table(sweep_folder: Path, out: Path) -> pd.DataFrame:
    ended = command("-m", "facialnet.report", str(sweep_folder), "--out", str(out))
    assert ended.returncode == 0, ended.stderr
    rows = pd.read_csv(out / "results.csv")
    return rows[[name for name in rows.columns if not any(word in name for word in VARYING)]]


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_table(drawn_data, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ended = command(*sweep(drawn_data, whole), timeout=900)
    assert ended.returncode == 0, ended.stderr

    words, folder = sweep(drawn_data, broken), broken / "demo/folds"
    kill_when(words, folder, done=1)
    kill_when(words, folder, done=3)
    ended = command(*words, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("done before, nothing to do") >= 3

    first, second = (
        table(each / "demo/folds", tmp_path / f"report_{each.name}") for each in (whole, broken)
    )
    assert len(first) > FOLDS
    pd.testing.assert_frame_equal(first, second)
