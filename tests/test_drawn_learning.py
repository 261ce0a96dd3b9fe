"""The demo's faces: FacialNet learns them in minutes, a linear classifier on pixels does not."""

import json

import hydra
import pytest
from commands import command
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facialnet import build
from facialnet.entry import conf_dir


def linear_accuracy(data, task: str) -> float:
    """Test accuracy of logistic regression on the network's own input pixels."""
    parts = {}
    for name in ("train", "test"):
        dataset = data.datasets[name]
        targets = dataset.targets[task]
        known = [(0, i) for i in range(len(dataset)) if targets[i] >= 0]
        dataset.augmentation = None
        batch = dataset.__getitems__(known)
        parts[name] = batch["images"].flatten(1).numpy(), batch["targets"][task].numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=200))
    model.fit(*parts["train"])
    return model.score(*parts["test"])


@pytest.mark.slow
def test_facialnet_learns_what_a_linear_classifier_does_not(tmp_path):
    folder = tmp_path / "run"
    words = ["-m", "facialnet.train", "+experiment=demo", f"run_dir={folder}"]
    ended = command(*words, cwd=tmp_path, timeout=900, OMP_NUM_THREADS="2")
    assert ended.returncode == 0, ended.stderr
    metrics = json.loads((folder / "results.json").read_text())["metrics"]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        places = [f"data.root={tmp_path}/data/drawn", f"paths.prepared={tmp_path}/data/prepared"]
        cfg = hydra.compose("train", ["+experiment=demo", *places])
    prepared, preprocessing = build.prepared_data(cfg)
    store = build.store_of(prepared)
    data = build.datamodule(cfg, store, build.split(cfg.protocol, store.manifest), preprocessing)
    linear = {task: linear_accuracy(data, task) for task in ("gender", "age")}
    facialnet = {task: metrics[f"test/{task}/accuracy"] for task in linear}
    print("linear", linear, "facialnet", facialnet)
    assert facialnet["gender"] > 0.85
    assert facialnet["age"] > 0.5
    for task in linear:
        assert facialnet[task] > linear[task] + 0.1
