"""The logger for Weights & Biases, on the package itself, without a network."""

import time

import pytest
import wandb

from facialnet.errors import UserError
from facialnet.training import wandb_run
from facialnet.training.wandb_run import WandbRun


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An empty working directory and home, and nothing said in the environment."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def logger(folder, **named):
    return WandbRun(folder=str(folder), project="faces", group="demo", **named)


def written(file, *texts):
    """Whether a file comes to hold some texts: another process writes it."""
    deadline = time.monotonic() + 10
    while not all(text in file.read_bytes() for text in texts) and time.monotonic() < deadline:
        time.sleep(0.02)
    return all(text in file.read_bytes() for text in texts)


def test_each_run_is_one_of_its_own_in_its_folder(bare, capfd):
    ids = set()
    for name in ("seed-0", "seed-1"):
        run = logger(bare / name, offline=True)
        run.log_hyperparams({"optimizer.lr": 0.25})
        run.log_metrics({"val/accuracy": 0.5}, step=3)
        assert (run.experiment.project, run.experiment.group) == ("faces", "demo")
        assert run.experiment.name == name
        ids.add(run.version)
        run.finish(failed=False)
        (file,) = (bare / name).glob("wandb/offline-run-*/*.wandb")
        assert written(file, b"optimizer.lr", b"val/accuracy", name.encode())
    assert len(ids) == 2
    assert wandb.run is None
    assert not list((bare / "home").iterdir()) + list((bare / "here").iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_run_that_never_began_leaves_nothing(bare):
    logger(bare / "run").finish(failed=True)
    assert not (bare / "run").exists()


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(wandb_run, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'facialnet\[wandb\]'"):
        logger(tmp_path)


def test_without_an_account(monkeypatch, tmp_path):
    def init(**named):
        assert named["mode"] is None
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "init", init)
    with pytest.raises(UserError, match=r"No API key.*logger.wandb.offline=true"):
        logger(tmp_path).log_metrics({"a": 1.0})
