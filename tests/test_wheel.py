"""The wheel brings the configuration along, and works in an empty folder."""

import subprocess
import sys
from pathlib import Path

import pytest
from commands import command

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_installed_wheel_trains_in_an_empty_folder(drawn_data, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path, ROOT], check=True)
    wheel = next(tmp_path.glob("facialnet-*.whl"))
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ["-m", "facialnet.train", "+experiment=demo", *drawn_data, "trainer.max_epochs=1"]
    ended = command(*words, cwd=empty, PYTHONPATH=str(site))
    assert ended.returncode == 0, ended.stderr
    assert len(list((empty / "outputs/demo").glob("*/results.json"))) == 1
    report = command("-m", "facialnet.report", "outputs/demo", cwd=empty, PYTHONPATH=str(site))
    assert report.returncode == 0, report.stderr
    assert (empty / "outputs/demo/report/report.html").stat().st_size > 10_000
    where = "import facialnet, sys; print(facialnet.__file__)"
    assert str(site) in command("-c", where, cwd=empty, PYTHONPATH=str(site)).stdout
