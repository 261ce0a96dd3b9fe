"""Fixtures that several folders of tests use: commands, drawn faces, and the shared real faces."""

import importlib
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from facialnet import entry
from facialnet.command import run_command
from facialnet.data.drawn.tree import write_tree

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the shared faces and lists."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared faces are not here: {SHARED.resolve()}")
    return SHARED.resolve()


@pytest.fixture(scope="session")
def utkface_root(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the 8,280 JPEG files of utkface.tar."""
    folder = tmp_path_factory.mktemp("utkface")
    with tarfile.open(shared / "data" / "utkface.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder / "utkface"


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Run an entry point in this process, as from a terminal in the test's own folder.

    ``cli("train", *arguments)``.
    """
    monkeypatch.chdir(tmp_path)

    def call(entry_point: str, *arguments: str) -> Ended:
        config_name = entry_point if entry_point in ("prepare", "evaluate", "audit") else "train"
        module = importlib.import_module(f"facialnet.{entry_point}")
        monkeypatch.setattr(sys, "argv", [f"facialnet.{entry_point}", *arguments])
        capfd.readouterr()
        code = 0
        try:
            if entry_point in ("predict", "explain"):
                run_command(module.main)
            elif hasattr(module, "command"):
                module.command()
            else:
                entry.run(module.main, config_name)
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capfd.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def drawn_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with an Adience tree of 160 drawn faces."""
    root = tmp_path_factory.mktemp("drawn") / "tree"
    write_tree(root, images=160, processes=1)
    return root


@pytest.fixture(scope="session")
def drawn_data(drawn_root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that choose the drawn faces, with one store for the whole session."""
    return [
        "data=drawn",
        "data.source.images=160",
        f"data.root={drawn_root}",
        f"paths.prepared={tmp_path_factory.mktemp('prepared')}",
        "data.batch_size=16",
        "trainer=cpu",
    ]
