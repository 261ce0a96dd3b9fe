"""The README's commands are right word for word."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from commands import command

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines()]
TARGETS = set("setup demo test test-all lint format type bench build clean".split())  # noqa: SIM905
TRAIN = [line for line in LINES if line.startswith("python -m facialnet.train")]


def test_readme_is_short_and_shows_the_commands():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
    assert {"make demo", "make test"} <= set(LINES)
    assert len(TRAIN) >= 4


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_make_targets_exist(line):
    ended = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, capture_output=True, check=False)
    assert ended.returncode == 0


@pytest.mark.parametrize("line", TRAIN)
def test_training_commands_compose(line, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word for word in shlex.split(line)[3:] if word not in ("-m", "--cfg", "job")]
    words = [re.sub(r"=([^,\[]+),.*", r"=\1", word) for word in words]  # a sweep's first job
    ended = cli("train", *words, "--cfg", "job", "--resolve")
    assert ended.code == 0, ended.err
    assert "backbone" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize("line", TRAIN)
def test_training_commands_run(line, drawn_data, tmp_path):
    words = [word for word in shlex.split(line)[1:] if not word.startswith("ckpt_path")]
    if "--cfg" not in words:
        words += ["+debug=fast", *drawn_data, f"paths.outputs={tmp_path}"]
    ended = command(*words, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_links_and_pictures_are_there():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_help_lists_every_target():
    ended = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in ended.stdout.splitlines()}
    assert listed >= TARGETS
