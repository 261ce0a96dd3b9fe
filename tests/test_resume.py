"""A run that was stopped and goes on ends with the very weights of one that was not."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import QUICK, command

KILLED = str(Path(__file__).with_name("killed_train.py"))
EPOCHS, STEPS = 3, 7  # of the run below: 101 training pictures in batches of 16
STEPWISE = ["callbacks.last.every_n_steps=1"]


def arguments(drawn_data: list[str], folder: Path, *more: str) -> list[str]:
    """Everything with state at once: averages, plateau, norms, dropout, augmentation, mixup."""
    return [
        "+experiment=demo",
        *drawn_data,
        "callbacks=ema",
        "callbacks.graph=null",
        "augment=strong",
        "mixup=0.4",
        "scheduler=plateau",
        "scheduler.patience=0",
        f"trainer.max_epochs={EPOCHS}",
        "trainer.limit_test_batches=1",
        f"run_dir={folder}",
        *more,
    ]


def final_state(folder: Path) -> dict:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)


def assert_same(one, other, where: str = "") -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{number}]")
    else:
        assert one == other, where


def assert_same_run(one: Path, other: Path) -> None:
    first, second = final_state(one), final_state(other)
    for key in ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers"):
        assert_same(first[key], second[key], key)
    assert first["global_step"] == second["global_step"]
    results = [json.loads((folder / "results.json").read_text()) for folder in (one, other)]
    metrics = [  # training scores of a resumed epoch cover its remaining batches only
        {k: v for k, v in each["metrics"].items() if not k.startswith("train/")} for each in results
    ]
    assert metrics[0] == metrics[1]


def killed_and_resumed(folder: Path, step: int, settings: list[str], cwd: Path) -> None:
    started = subprocess.Popen(
        [sys.executable, KILLED, *settings],
        env={**QUICK, "KILL_AT_STEP": str(step)},
        cwd=cwd,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert started.wait(timeout=240) == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    ended = command(KILLED, *settings, "ckpt_path=last", cwd=cwd)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def unbroken(drawn_data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    ended = command(KILLED, *arguments(drawn_data, folder, *STEPWISE))
    assert ended.returncode == 0, ended.stderr
    assert final_state(folder)["global_step"] == EPOCHS * STEPS
    return folder


def test_killed_in_the_middle_of_an_epoch(unbroken, drawn_data, tmp_path):
    folder = tmp_path / "run"
    step = STEPS + 3
    killed_and_resumed(folder, step, arguments(drawn_data, folder, *STEPWISE), tmp_path)
    assert_same_run(unbroken, folder)


def test_sigterm_saves_and_says_how_to_go_on(unbroken, drawn_data, tmp_path):
    folder = tmp_path / "run"
    settings = arguments(drawn_data, folder)
    started = subprocess.Popen(
        [sys.executable, "-m", "facialnet.train", *settings],
        env=QUICK,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    table = folder / "epochs.csv"
    deadline = time.monotonic() + 120
    while not table.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    printed, errors = started.communicate(timeout=120)
    assert started.returncode == 128 + signal.SIGTERM, errors
    assert errors.strip().endswith("error: stopped by SIGTERM")
    assert f"run_dir={folder} ckpt_path=last" in printed
    assert json.loads((folder / "results.json").read_text())["status"] == "interrupted"
    ended = command("-m", "facialnet.train", *settings, "ckpt_path=last")
    assert ended.returncode == 0, ended.stderr
    assert_same_run(unbroken, folder)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_three_random_steps(unbroken, drawn_data, tmp_path, workers):
    for step in random.Random(workers).sample(range(1, EPOCHS * STEPS), 3):
        folder = tmp_path / f"run{step}"
        more = [*STEPWISE, f"data.num_workers={workers}"]
        killed_and_resumed(folder, step, arguments(drawn_data, folder, *more), tmp_path)
        assert_same_run(unbroken, folder)


@pytest.mark.slow
def test_killed_with_two_processes(drawn_data, tmp_path):
    whole = tmp_path / "whole"
    more = [*STEPWISE, "trainer=ddp_cpu"]
    ended = command(KILLED, *arguments(drawn_data, whole, *more), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for step in random.Random(9).sample(range(1, EPOCHS * STEPS), 3):
        folder = tmp_path / f"run{step}"
        killed_and_resumed(folder, step, arguments(drawn_data, folder, *more), tmp_path)
        assert_same_run(whole, folder)
