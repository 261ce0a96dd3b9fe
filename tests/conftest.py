"""Fixtures that several folders of tests use: the shared faces, where they are there."""

import tarfile
from pathlib import Path

import pytest

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
