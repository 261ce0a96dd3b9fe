"""Searches, chains and launchers on real runs: killed, side by side, started again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from commands import QUICK, command

from facialnet.training.callbacks.pruning import open_storage

TRIALS = 12
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "data.num_workers=1"]
SEARCH = [
    "+sweep=search",
    "data.batch_size=16",
    "callbacks.pruning.startup_trials=2",
    "callbacks.pruning.warmup_epochs=1",
]


def words(drawn_data: list[str], outputs: Path, *more: str) -> list[str]:
    """Jobs of a few steps in three epochs."""
    settings = ["max_epochs=3", "limit_train_batches=2", "limit_val_batches=1"]
    settings += ["limit_test_batches=1"]
    return [
        *("-m", "facialnet.train", "-m", "+experiment=demo", *drawn_data, "logger=none"),
        *(f"callbacks.{name}=null" for name in ("graph", "feature_maps", "confusions")),
        *(f"trainer.{setting}" for setting in settings),
        f"paths.outputs={outputs}",
        *more,
    ]


def status(folder: Path) -> str:
    return str(json.loads((folder / "results.json").read_text())["status"])


def kill_when(words: list[str], folder: Path, done: int) -> dict[Path, int]:
    """SIGKILL a search and its workers after some trials, within others; the times of those."""
    started = subprocess.Popen(
        [sys.executable, *words],
        env=QUICK,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        finished = {path.parent for path in folder.glob("*/results.json")}
        begun = {path.parent.parent for path in folder.glob("*/checkpoints/last.ckpt")}
        if len(finished) >= done and begun - finished:
            break
        assert started.poll() is None, "the search ended before it was killed"
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/results.json")}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], JOBLIB], ids=["one", "two"])
def test_a_killed_search_ends_with_its_trials_and_repeats_none(drawn_data, tmp_path, launcher):
    search = words(drawn_data, tmp_path, *SEARCH, f"hydra.sweeper.n_trials={TRIALS}", *launcher)
    folder = tmp_path / "demo/search"
    before = kill_when(search, folder, done=4)
    assert 4 <= len(before) < TRIALS
    ended = command(*search, timeout=900)
    assert ended.returncode == 0, ended.stderr
    names = sorted(path.name for path in folder.glob("trial-*"))
    assert names == [f"trial-{number:03}" for number in range(TRIALS)]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    study = optuna.load_study(study_name="search", storage=open_storage(folder / "search.journal"))
    states = [trial.state.name for trial in study.trials]
    assert [{"COMPLETE": "done", "PRUNED": "pruned"}[state] for state in states] == [
        status(folder / name) for name in names
    ]
    assert f"{TRIALS} trials: " in ended.stdout


@pytest.mark.slow
def test_failed_and_pruned_trials_count_and_the_report_takes_them(drawn_data, tmp_path):
    search = words(drawn_data, tmp_path, *SEARCH, "data.batch_size=16,0")
    ended = command(*search, "hydra.sweeper.n_trials=2", timeout=900)
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "demo/search"
    put_perfect_trials(folder, 2)
    ended = command(*search, "hydra.sweeper.n_trials=8", timeout=900)
    assert ended.returncode == 0, ended.stderr
    found = {path.name: status(path) for path in sorted(folder.glob("trial-*"))}
    assert len(found) == 6
    assert set(found.values()) == {"done", "pruned", "failed"}
    assert [state for name, state in found.items() if name > "trial-003"].count("done") == 0
    for name, state in found.items():
        results = json.loads((folder / name / "results.json").read_text())
        if state == "failed":
            assert results["error"] == "data.batch_size=0 must be at least 1"
            assert f"{name} failed: {results['error']}" in ended.stdout
        else:
            assert 0 <= results["score"] <= 1
            assert "val/accuracy" in results["metrics"]
        if state == "pruned":
            assert not [key for key in results["metrics"] if key.startswith("test/")]
            assert not (folder / name / "metrics.json").exists()
    report = command("-m", "facialnet.report", str(folder))
    assert report.returncode == 0, report.stderr


def put_perfect_trials(folder: Path, count: int) -> None:
    """Add finished trials to a search that no other can hold a candle to."""
    study = optuna.load_study(study_name="search", storage=open_storage(folder / "search.journal"))
    like = study.trials[0]
    for _ in range(count):
        study.add_trial(
            optuna.trial.create_trial(
                params=like.params,
                distributions=like.distributions,
                value=1.0,
                intermediate_values=dict.fromkeys(range(3), 1.0),
            )
        )


@pytest.mark.slow
def test_a_chain_started_again_repeats_nothing(drawn_data, tmp_path):
    params = "{optimizer.lr:'0.001,0.01',optimizer.weight_decay:'0,0.1'}"
    chain = words(
        *(drawn_data, tmp_path, "hydra/sweeper=chain", f"++hydra.sweeper.params={params}"),
        *("sweep_name=chain", *JOBLIB),
    )
    ended = command(*chain, timeout=900)
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "demo/chain"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/results.json")}
    assert len(before) == 4
    steps = json.loads((folder / "chain.json").read_text())["steps"]
    scores = {path.parent.name: json.loads(path.read_text())["score"] for path in before}
    for value, score in steps[0]["scores"].items():
        assert scores[f"optimizer.lr-{value}"] == score
    best = max(steps[0]["scores"], key=steps[0]["scores"].get)
    assert sum(name.startswith(f"optimizer.lr-{best}_") for name in scores) == 2
    again = command(*chain, timeout=900)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before, nothing to do") == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_grid_by_submitit_and_again(drawn_data, tmp_path):
    launcher = ["hydra/launcher=submitit_local", "data.num_workers=1"]
    grid = words(drawn_data, tmp_path, "optimizer.lr=0.001,0.002", *launcher)
    ended = command(*grid, timeout=900)
    assert ended.returncode == 0, ended.stderr
    folder = tmp_path / "demo/sweep"
    names = sorted(path.parent.name for path in folder.glob("*/results.json"))
    assert names == ["optimizer.lr-0.001", "optimizer.lr-0.002"]
    assert {status(folder / name) for name in names} == {"done"}
    logs = list(folder.glob(".submitit/*/*_log.out"))
    assert len(logs) == 2
    assert command(*grid, timeout=900).returncode == 0
    logs = "".join(path.read_text() for path in folder.glob(".submitit/*/*_log.out"))
    assert logs.count("done before, nothing to do") == 2


def processes_of(group: int) -> list[int]:
    """Return the numbers of a process group's members that still run, where there is /proc."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member_of) == group and state != "Z":
            members.append(int(stat.parent.name))
    return members


def started_side_by_side(grid: list[str], folder: Path) -> subprocess.Popen:
    """Start a grid of two jobs and wait until both of them train."""
    started = subprocess.Popen(
        [sys.executable, *grid, *JOBLIB],
        env=QUICK,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 400
    while len(list(folder.glob("*/checkpoints/last.ckpt"))) < 2:
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return started


@pytest.mark.slow
def test_sigterm_ends_the_jobs_of_joblib_too(drawn_data, tmp_path):
    grid = words(drawn_data, tmp_path, "optimizer.lr=0.001,0.002", "trainer.max_epochs=500")
    started = started_side_by_side(grid, tmp_path / "demo/sweep")
    started.send_signal(signal.SIGTERM)
    assert started.wait(timeout=60) == 128 + signal.SIGTERM
    deadline = time.monotonic() + 30
    while processes_of(started.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(started.pid) == []


@pytest.mark.slow
def test_jobs_that_outlive_their_command_are_waited_for(drawn_data, tmp_path):
    grid = words(drawn_data, tmp_path, "optimizer.lr=0.001,0.002", "trainer.max_epochs=30")
    grid.append("data.num_workers=1")  # as JOBLIB has it
    started = started_side_by_side(grid, tmp_path / "demo/sweep")
    started.kill()
    started.wait()
    ended = command(*grid, timeout=900)
    time.sleep(2)
    left = processes_of(started.pid)
    for member in left:
        os.kill(member, signal.SIGKILL)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("waiting for its end") >= 1
    assert ended.stdout.count("done before, nothing to do") == 2
    assert left == []


@pytest.mark.slow
def test_a_trial_that_kills_its_process_is_found(tmp_path):
    deadly = str(Path(__file__).with_name("deadly_task.py"))
    search = ["-m", "+experiment=demo", "+sweep=search", "hydra.sweeper.n_trials=2", *JOBLIB]
    search += ["data.batch_size=8,16", "optimizer.lr=0.1", "optimizer.weight_decay=0"]
    ended = command(deadly, *search, cwd=tmp_path, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert "2 trials: 1 done, 0 pruned, 1 failed" in ended.stdout
    assert "with data.batch_size=16" in ended.stdout
    assert "failed with data.batch_size=8" in ended.stdout
