"""Two processes on the CPU do what one does."""

import json

import pandas as pd
import pytest
import torch
from commands import command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pair(drawn_data, tmp_path_factory):
    """Folders of a run in one process and in two: no norm, no dropout, plain SGD."""
    folders = []
    for trainer in ("cpu", "ddp_cpu"):
        folder = tmp_path_factory.mktemp("ddp") / trainer
        ended = command(
            "-m",
            "facialnet.train",
            *drawn_data,
            f"trainer={trainer}",
            "trainer.max_epochs=2",
            "optimizer.lr=0.001",
            "tasks.gender.head.dropout=[0,0]",
            "tasks.age.head.dropout=[0,0]",
            f"run_dir={folder}",
            cwd=folder.parent,
        )
        assert ended.returncode == 0, ended.stderr
        folders.append(folder)
    return folders


def test_every_test_image_comes_once(pair):
    one, two = (pd.read_parquet(folder / "predictions.parquet") for folder in pair)
    assert not two["path"].duplicated().any()
    assert one["path"].tolist() == two["path"].tolist()


def test_weights_are_those_of_one_process(pair):
    one, two = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for folder in pair
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5, msg=name)


def test_scores_are_those_of_one_process(pair):
    one, two = (json.loads((folder / "results.json").read_text()) for folder in pair)
    assert two["devices"] == 2
    for name in ("train/loss", "val/loss", "test/age/loss", "test/gender/loss"):
        assert two["metrics"][name] == pytest.approx(one["metrics"][name], rel=1e-3)
