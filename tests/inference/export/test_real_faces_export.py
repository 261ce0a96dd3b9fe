"""Every format and the runner on real faces, with a checkpoint that was trained on them."""

import json
import shutil
import subprocess
import sys

import pytest
from commands import QUICK, command


@pytest.fixture(scope="module")
def run(utkface_root, tmp_path_factory):
    """A short training's folder."""
    folder = tmp_path_factory.mktemp("real")
    ended = command(
        *("-m", "facialnet.train", "+experiment=utkface", "model=facialnet_bn", "trainer=cpu"),
        *(f"data.root={utkface_root}", f"paths.prepared={folder}/prepared", "logger=none"),
        *("trainer.max_epochs=1", f"run_dir={folder}/run", "views=mirror"),
        cwd=folder,
        timeout=900,
    )
    assert ended.returncode == 0, ended.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def out(run):
    """All formats, checked on test faces and calibrated on training faces of the run's store."""
    words = ("-m", "facialnet.export", str(run / "checkpoints/best.ckpt"), "--faces", "400")
    ended = command(*words, cwd=run, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert "checked on 400 of 1,656 test faces of utkface" in ended.stdout
    return run / "checkpoints/export"


@pytest.mark.slow
def test_each_file_answers_as_pytorch_does(out):
    summary = json.loads((out / "export.json").read_text())
    assert list(summary["files"]) == ["onnx", "torch", "int8", "safetensors"]
    assert "calibrated on 256 of" in summary["files"]["int8"]["numbers"]
    for name, largest, agreement in (
        ("onnx", 1e-5, 1.0),
        ("torch", 1e-5, 1.0),
        ("safetensors", 0.02, 0.98),
        ("int8", 0.5, 0.85),
    ):
        for tasks in summary["files"][name]["parity"].values():
            for found in tasks.values():
                assert found["largest"] <= largest
                assert found["agreement"] >= agreement
                assert abs(found["accuracy"] - found["accuracy_pytorch"]) <= 1.5 * (1 - agreement)
    sizes = {name: facts["bytes"] for name, facts in summary["files"].items()}
    assert sizes["int8"] < 0.35 * sizes["onnx"]
    assert sizes["safetensors"] < 0.55 * sizes["onnx"]
    assert "# Model card" in (out / "best.md").read_text()
    assert str(out.parents[2]) not in (out / "best.safetensors").read_bytes().decode("latin1")


@pytest.mark.slow
def test_the_runner_answers_photos_as_the_test_did(run, out, utkface_root, tmp_path):
    """The answers in predictions.parquet came from the store's pixels, by PyTorch."""
    import pandas as pd

    table = pd.read_parquet(run / "predictions.parquet").iloc[::40]
    for name in ("run_onnx.py", "best.onnx"):
        shutil.copy(out / name, tmp_path)
    faces = [str(utkface_root / path) for path in table["path"]]
    ended = subprocess.run(
        [sys.executable, "run_onnx.py", "best.onnx", *faces],
        cwd=tmp_path,
        env=QUICK,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(rows) == len(table) > 40
    for row, (_, expected) in zip(rows, table.iterrows(), strict=True):
        for task in ("gender", "age"):
            for label, value in row[task]["probabilities"].items():
                assert value == pytest.approx(expected[f"{task}_p_{label}"], abs=0.01)
