"""Runs with other loggers beside TensorBoard."""

import csv

import pytest
from commands import command

from facialnet.training import wandb_run

FAST = ["+experiment=demo", "+debug=fast", "callbacks.graph=null", "callbacks.feature_maps=null"]
OFFLINE = ["logger=wandb", "logger.wandb.offline=true"]


def test_csv_holds_curves_and_settings_of_a_failed_run_too(cli, drawn_data, tmp_path):
    stopped = ["optimizer.lr=1e30", "trainer.log_every_n_steps=1"]
    ended = cli("train", *FAST, *drawn_data, *stopped, "logger=csv", f"run_dir={tmp_path / 'run'}")
    assert ended.code == 2
    assert "the loss is" in ended.err
    folder = tmp_path / "run/csv/version_0"
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["step"] == "0"
    assert float(rows[0]["lr-AdamW/pg1"]) > 1e28  # the warm-up's first share of it
    assert "optimizer.lr: 1.0e+30\n" in (folder / "hparams.yaml").read_text()
    assert list((tmp_path / "run/tensorboard").glob("events*"))


def test_wandb_needs_its_package(cli, drawn_data, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_run, "find_spec", lambda name: None)
    ended = cli("train", *FAST, *drawn_data, "logger=wandb", f"run_dir={tmp_path / 'run'}")
    assert ended.code == 2
    assert ended.err.strip() == (
        "error: logger=wandb needs another package: pip install 'facialnet[wandb]'"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_wandb_offline_in_a_sweep(drawn_data, tmp_path):
    """Each job is a run of its own, the failing one as well, and nothing lies anywhere else."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    ended = command(
        *("-m", "facialnet.train", "-m", *FAST, *drawn_data, *OFFLINE, "sweep_name=rates"),
        "optimizer.lr=0.001,1e30",
        cwd=here,
        HOME=str(home),
    )
    assert ended.returncode == 2
    assert "the loss is" in ended.stderr
    assert "wandb:" not in ended.stdout + ended.stderr
    jobs = sorted((here / "outputs/debug/rates").glob("optimizer.lr-*"))
    assert len(jobs) == 2
    contents = []
    for job in jobs:
        (file,) = job.glob("wandb/offline-run-*/*.wandb")
        contents.append(file.read_bytes())
        assert b"model.backbone._target_" in contents[-1]
    assert b"test/accuracy" in contents[0]
    assert b"test/accuracy" not in contents[1]
    assert [path.name for path in here.iterdir()] == ["outputs"]
    assert not list(home.rglob("*wandb*"))
