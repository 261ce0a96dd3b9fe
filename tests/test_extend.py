"""docs/extend.md is right: its files, put where it says, make its commands work."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import command
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/extend.md").read_text()
FILES = re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]


def draw_faces(folder: Path, people: int = 20) -> None:
    """Write labels.csv and three pictures of everybody, some labels missing."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    lines = ["file,person,gender,age"]
    for number in range(3 * people):
        pixels = draw.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((90, 90)).save(folder / f"{number}.jpg")
        gender = ("male", "female", "")[number % 3]
        age = "" if number % 7 == 0 else str(number)
        lines.append(f"{number}.jpg,p{number // 3},{gender},{age}")
    (folder / "labels.csv").write_text("\n".join(lines))


def test_the_page_names_its_files_and_commands():
    assert {path for path, _ in FILES} >= {
        "facialnet/models/backbones/tiny.py",
        "conf/model/tiny.yaml",
        "facialnet/data/sources/myfaces.py",
        "conf/data/myfaces.yaml",
    }
    assert len(LINES) == 4


@pytest.mark.slow
def test_the_page_followed_as_written(tmp_path):
    for folder in ("facialnet", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for path, text in FILES:
        (tmp_path / path).write_text(text)
    draw_faces(tmp_path / "data/myfaces")
    for line in LINES:
        ended = command(*shlex.split(line)[1:], cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert ended.returncode == 0, f"{line}\n{ended.stderr}"
    assert len(list((tmp_path / "outputs/utkface_aug").glob("*/results.json"))) == 1
    networks = [path.read_text() for path in (tmp_path / "outputs/demo").glob("*/config.yaml")]
    assert sum("backbones.tiny.Tiny" in text for text in networks) == 1
