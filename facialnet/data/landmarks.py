"""Five points for pictures that come without: data.align=detect."""

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facialnet.data.decode import UnreadableImageError, decode
from facialnet.data.faces.choice import largest, main_face
from facialnet.data.faces.face import Detector, Points
from facialnet.data.faces.framing import points_of
from facialnet.data.faces.given import GivenFaces
from facialnet.data.landmark_cache import LandmarkCache, Stamp
from facialnet.data.manifest import LANDMARKS

NO_FACE = "no face"  # why a row is dropped
_CHUNK = 8  # pictures that a thread decodes and searches at a time
_SAVED_EVERY = 2000  # pictures that a kill may cost
_DECODED_SIDE = 1000  # pixels of the shorter side; detectors reduce further
_NOWHERE: Points = np.full((5, 2), np.nan, np.float32)

Progress = Callable[[int, int], None]  # pictures done, pictures in all


@dataclass(frozen=True)
class FaceSearch:
    """How the faces of a data set are found.

    Attributes:
        detector: finds them.
        settings: plain settings of the detector, with a hash of the files that it is made of; the
            results are kept for them.
    """

    detector: Detector | GivenFaces
    settings: dict[str, Any]


def mark_faces(
    table: pd.DataFrame,
    stamps: dict[int, Stamp],
    root: Path,
    search: FaceSearch,
    *,
    folder: Path,
    name: str,
    progress: Progress | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Give every kept row without five points those of its main face, or drop it, in place.

    Rows that have points keep them, and a picture that cannot be read stays in: writing the store
    says what is wrong with it. What is found is kept on disk by file, so that only files that are
    new or changed are searched again.

    Args:
        table: manifest with ``dropped``; points are in pixels of the upright picture.
        stamps: size and time stamp of the files, by the table's index.
        root: folder that the paths are relative to.
        search: the detector.
        folder: what is found lies below it.
        name: of the data set.
        progress: called with pictures searched and pictures to search.
        announce: called with a sentence before the search.
    """
    columns = list(LANDMARKS)
    for column in columns:
        if column not in table.columns:
            table[column] = pd.Series(np.nan, index=table.index, dtype="float32")
    wanted = table.index[table["dropped"].isna() & table[columns].isna().any(axis=1)]
    paths = {int(index): str(table.at[index, "path"]) for index in wanted}
    found: dict[int, Points | None]
    if isinstance(search.detector, GivenFaces):
        found = {index: _given(search.detector, root / path) for index, path in paths.items()}
    else:
        key = json.dumps([str(root.absolute()), search.settings], sort_keys=True)
        digest = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
        cache = LandmarkCache(folder / f"{name}-faces-{digest}.parquet")
        known = {index: cache.get(path, stamps[index]) for index, path in paths.items()}
        left = [index for index, points in known.items() if points is None]
        if left:
            announce(f"finding the faces in {len(left):,} pictures of {name}")
        files = {paths[index]: stamps[index] for index in left}
        new = _find(files, root, search.detector, cache, progress)
        found = {index: new.get(paths[index]) if p is None else p for index, p in known.items()}
    for index, points in found.items():
        if points is not None and np.isfinite(points).all():
            table.loc[index, columns] = points.reshape(-1)
        elif points is not None:
            table.loc[index, "dropped"] = NO_FACE


def _given(given: GivenFaces, path: Path) -> Points:
    face = largest(given.faces(path))
    return _NOWHERE if face is None else points_of(face)


def _find(
    files: dict[str, Stamp],
    root: Path,
    detector: Detector,
    cache: LandmarkCache,
    progress: Progress | None,
) -> dict[str, Points | None]:
    """Search pictures, several at a time, and keep what is found; None for unreadable ones."""
    found: dict[str, Points | None] = {}
    saved = 0
    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for window in _in_chunks(list(files), _CHUNK * 4 * (os.cpu_count() or 1)):
                chunks = list(_in_chunks(window, _CHUNK))
                searched = pool.map(lambda each: _search(each, root, detector), chunks)
                for path, points in zip(window, itertools.chain(*searched), strict=True):
                    found[path] = points
                    if points is not None:
                        cache.put(path, files[path], points)
                if len(found) - saved >= _SAVED_EVERY:
                    cache.save()
                    saved = len(found)
                if progress is not None:
                    progress(len(found), len(files))
    finally:  # Ctrl-C, too, must not cost what was found
        if len(found) > saved:
            cache.save()
    return found


def _search(paths: list[str], root: Path, detector: Detector) -> list[Points | None]:
    """Return the points of each picture's main face; NaN without one, None if unreadable."""
    images, factors = {}, {}
    for path in paths:
        try:
            images[path], factors[path] = decode(root / path, grey=False, shortest=_DECODED_SIDE)
        except UnreadableImageError:
            continue
    faces = dict(zip(images, detector(list(images.values())), strict=True))
    return [
        None
        if path not in images
        else _NOWHERE
        if (face := main_face(faces[path], images[path].shape)) is None
        else points_of(face) / np.float32(factors[path])
        for path in paths
    ]


def _in_chunks(items: list[str], size: int) -> Iterator[list[str]]:
    left = iter(items)
    while chunk := list(itertools.islice(left, size)):
        yield chunk
