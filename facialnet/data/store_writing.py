"""Writing a store: every picture decoded and preprocessed once, whole or not at all."""

import errno
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.fingerprints import content_hash, lookalikes
from facialnet.data.manifest import CROP, LANDMARKS, as_manifest, manifest_hash, write_manifest
from facialnet.data.partial_folder import partial_place, remove_leftovers
from facialnet.data.store import ABOUT, MANIFEST, PIXELS
from facialnet.data.transforms import CentreCrop, Preprocessing
from facialnet.errors import UserError

_LOOKS = "looks.u8"
# How pictures are compared, whatever the network wants to see: near-duplicates must not be parted,
# so a split would else depend on the preprocessing, and systems be tested on different images.
_LOOK = Preprocessing(size=75, margin=6, channels=1, steps={"crop": CentreCrop()})

Progress = Callable[[int, int], None]  # pictures done, pictures in all
# Stored pixels, what is compared and the content's hash, or what is wrong.
_Outcome = tuple[NDArray[np.uint8], NDArray[np.uint8], str] | str


def write_store(
    folder: Path,
    *,
    key: str,
    rows: pd.DataFrame,
    root: Path,
    preprocessing: Preprocessing,
    spec: dict[str, Any],
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Decode and preprocess every row's picture once and write the store.

    The store's manifest gains the fingerprints: ``content`` and ``lookalike``.

    Args:
        folder: the store's folder; must not exist.
        key: hash that the folder stands for.
        rows: manifest.
        root: folder that the rows' paths are relative to.
        preprocessing: from pictures to stored pixels.
        spec: the plain settings that ``preprocessing`` was made from.
        progress: called now and then with pictures done and pictures in all.
        announce: called with a sentence before the search for look-alikes.

    Returns:
        Path and reason of every unreadable picture; those rows are not in the store.

    Raises:
        UserError: the disk is full.
    """
    need = len(rows) * (math.prod(preprocessing.stored_shape) + math.prod(_LOOK.stored_shape))
    with _whole_or_not(folder, need) as partial:
        contents, broken, digest = _write_pixels(partial, rows, root, preprocessing, progress)
        announce(f"looking for near-duplicates among {len(contents):,} pictures")
        manifest = _with_fingerprints(rows, contents, partial)
        write_manifest(manifest, partial / MANIFEST)
        about = {
            "key": key,
            "shape": [len(manifest), *preprocessing.stored_shape],
            "preprocessing": spec,
            "pixels": digest,
            "manifest": manifest_hash(manifest),
        }
        (partial / ABOUT).write_text(json.dumps(about, indent=2))
    return broken


@contextmanager
def _whole_or_not(folder: Path, need: int) -> Iterator[Path]:
    """Yield an empty folder to write a store into; it becomes `folder` when all is written.

    Raises UserError where the disk has not ``need`` bytes left, or is full before the end.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    partial = partial_place(folder)
    try:
        if shutil.disk_usage(folder.parent).free < need:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        partial.mkdir()
        yield partial
        try:
            partial.rename(folder)
        except OSError:
            if not (folder / ABOUT).exists():  # else another process finished the same store first
                raise
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            f"the disk is full: {folder.parent} needs about {need >> 20} MB; free some space or "
            "choose another place with paths.data=FOLDER"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _with_fingerprints(rows: pd.DataFrame, contents: dict[int, str], partial: Path) -> pd.DataFrame:
    """Return the kept rows with the hash of each file and the group of its look-alikes."""
    manifest = rows.iloc[list(contents)].reset_index(drop=True)
    manifest["content"] = pd.Series(list(contents.values()), dtype="str")
    looks = _batches(partial / _LOOKS, _LOOK.stored_shape)
    manifest["lookalike"] = lookalikes(list(contents.values()), looks, partial)
    (partial / _LOOKS).unlink()
    return as_manifest(manifest)  # in the order of columns that reading gives, for the hash


def check_pictures(
    rows: pd.DataFrame, root: Path, preprocessing: Preprocessing, progress: Progress | None = None
) -> dict[str, str]:
    """Decode every row's picture without keeping it; path and reason of the unreadable ones."""
    broken = {}
    for path, outcome in zip(
        rows["path"], _outcomes(rows, root, preprocessing, progress), strict=True
    ):
        if isinstance(outcome, str):
            broken[path] = outcome
    return broken


def _write_pixels(
    partial: Path,
    rows: pd.DataFrame,
    root: Path,
    preprocessing: Preprocessing,
    progress: Progress | None,
) -> tuple[dict[int, str], dict[str, str], str]:
    """Write pixels and looks; content hash by position, reason by unreadable path, digest."""
    contents: dict[int, str] = {}
    broken: dict[str, str] = {}
    digest = hashlib.blake2b(digest_size=16)
    # Plain writes, since a full disk shows in a write as an error but in a memory map as a crash.
    with (partial / PIXELS).open("wb") as file, (partial / _LOOKS).open("wb") as looks:
        for position, outcome in enumerate(_outcomes(rows, root, preprocessing, progress)):
            if isinstance(outcome, str):
                broken[rows["path"].iloc[position]] = outcome
                continue
            pixels, look, contents[position] = outcome
            looks.write(look.data)
            digest.update(pixels.data)
            file.write(pixels.data)
        file.flush()
        os.fsync(file.fileno())
    return contents, broken, digest.hexdigest()


def _batches(path: Path, shape: tuple[int, int, int]) -> Iterator[NDArray[np.uint8]]:
    with path.open("rb") as file:
        while (pixels := np.fromfile(file, np.uint8, 256 * math.prod(shape))).size:
            yield pixels.reshape(-1, *shape)


def _outcomes(
    rows: pd.DataFrame, root: Path, preprocessing: Preprocessing, progress: Progress | None
) -> Iterator[_Outcome]:
    """Yield what becomes of each picture, in row order."""
    marked = all(name in rows.columns for name in LANDMARKS)
    points = rows[list(LANDMARKS)].to_numpy(np.float32).reshape(-1, 5, 2) if marked else None
    crops = [None if math.isnan(crop) else crop for crop in rows.get(CROP, [math.nan] * len(rows))]
    aligns = preprocessing.aligned_layout is not None

    def outcome(position: int) -> _Outcome:
        path, crop = root / rows["path"].iloc[position], crops[position]
        shortest = math.ceil(preprocessing.decoded_side / (crop or 1))
        if points is not None:  # they may lie in a small part of a large picture
            shortest = sys.maxsize
        grey = preprocessing.channels == 1
        look_from = math.ceil(_LOOK.decoded_side / (crop or 1))
        try:
            image, reduced = decode(path, grey=grey, shortest=shortest)
            where = None if points is None else points[position] * np.float32(reduced)
            same = grey and shortest == look_from
            seen = image if same else decode(path, grey=True, shortest=look_from)[0]
            # an aligned face needs no crop, which would only hide what lies around it
            aligned = aligns and where is not None and bool(np.isfinite(where).all())
            stored = preprocessing(image, where, None if aligned else crop)
            look = _LOOK(seen, None, crop)
            # a crop that needs no resize is a part of the decoded picture still
            whole, whole_look = np.ascontiguousarray(stored), np.ascontiguousarray(look)
            return whole, whole_look, content_hash(path)
        except (UnreadableImageError, ValueError, OSError) as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for position, done in enumerate(_windowed(pool, outcome, range(len(rows)))):
            yield done
            if progress is not None and (position % 64 == 0 or position + 1 == len(rows)):
                progress(position + 1, len(rows))


def _windowed(
    pool: ThreadPoolExecutor,
    work: Callable[[int], _Outcome],
    items: Iterable[int],
) -> Iterator[_Outcome]:
    """Map in order with at most 256 results waiting: memory must not grow with the data set."""
    left = iter(items)
    while chunk := list(islice(left, 256)):
        yield from pool.map(work, chunk)
