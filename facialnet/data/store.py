"""Memory-mapped pixels beside the manifest rows that they belong to.

A store is a folder: ``pixels.u8`` (uint8 [N, H, W, C], C order, no header), ``manifest.parquet``
(N rows) and ``store.json`` (shape, preprocessing, checksums). It appears whole or not at all.
"""

import hashlib
import json
import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facialnet.data.manifest import manifest_hash, read_manifest
from facialnet.errors import UserError

PIXELS, MANIFEST, ABOUT = "pixels.u8", "manifest.parquet", "store.json"
# Bytes read before their pages are given back. The system maps 16 pages around each one that is
# read, so that up to eight times as much may stay in this process's memory.
_READ_BYTES = 1 << 20


class Store:
    """Pixels and manifest rows of one prepared data set.

    Attributes:
        folder: where it lies.
        manifest: N rows; row i belongs to picture i.
        about: content of store.json.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
        self.shape: tuple[int, int, int, int] = tuple(self.about["shape"])
        self.manifest = read_manifest(folder / MANIFEST)
        self._map: np.memmap[Any, np.dtype[np.uint8]] | None = None
        self._touched = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would carry all pixels along; a worker maps the file anew.
        return {**self.__dict__, "_map": None}

    @property
    def key(self) -> str:
        """Hash of the manifest, the files and the preprocessing."""
        return str(self.about["key"])

    @property
    def digest(self) -> str:
        """Hash of what is in the store, wherever its files came from and when."""
        return f"{self.about['manifest']}-{self.about['pixels']}"

    def pixels(self, indices: NDArray[np.int64] | list[int] | slice) -> NDArray[np.uint8]:
        """Return a copy of the pictures: uint8 [len(indices), H, W, C]."""
        if self._map is None:
            self._map = np.memmap(self.folder / PIXELS, np.uint8, mode="r", shape=self.shape)
        chosen = np.array(self._map[indices])
        self._touched += chosen.nbytes
        if self._touched > _READ_BYTES and hasattr(mmap, "MADV_DONTNEED"):
            # Pages that were read count as this process's memory until they are given back; the
            # system's cache keeps them, so that memory stays flat however large the store is.
            self._map._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
            self._touched = 0
        return chosen


def open_store(folder: Path) -> Store:
    """Open a store after comparing it with its checksums; about a second per GB.

    Raises UserError where it was altered after it was written.
    """
    try:
        store = Store(folder)
        altered = (
            (folder / PIXELS).stat().st_size != math.prod(store.shape)
            or _file_digest(folder / PIXELS) != store.about["pixels"]
            or manifest_hash(store.manifest) != store.about["manifest"]
            or len(store.manifest) != len(store)
        )
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(f"store {folder} is damaged ({error}); {_AGAIN}") from error
    if altered:
        raise UserError(f"store {folder} was altered after it was prepared; {_AGAIN}")
    return store


_AGAIN = "delete that folder and run again: it will be prepared anew"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
