"""What tells copies: a hash of a file's bytes, and groups of pictures that are nearly the same.

Aligned faces are alike in their coarse features, so that a perceptual hash alone confuses people.
It only proposes pairs here; a pair counts when also the fine detail of the two pictures agrees. The
thresholds were set on UTKFace, LFW and drawn faces: copies that were compressed, shrunk, made
brighter or darker, mirrored, turned grey or cut by 1.5 % on every side are found, and those cut by
3 % on every side about nine times of ten; copies cut on one side only are not.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import imagehash
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]

_BITS = 12  # of 64 bits of the perceptual hash that may differ in a pair worth a second look
_SIDE = 32  # pixels of the reduced picture whose detail is compared
_ALIKE = 0.93  # correlation of the detail from which on two pictures are copies
_PROMISING = 0.6  # correlation from which on a pair is compared at other cuts as well
_CUTS = (0.0, 0.015, 0.03)  # share of the side that is cut off at every edge
_LEAST_DETAIL = 1.0  # grey levels, standard deviation; with less there is only noise to compare
_TILE = 2048  # rows; a tile of hashes against hashes takes 32 MB
_BATCH = 4096  # pairs


def content_hash(path: Path) -> str:
    """Return a hash of a file's bytes, 32 hexadecimal digits; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def lookalikes(
    contents: Sequence[str], batches: Iterable[Pixels], scratch: Path | None = None
) -> "pd.Series[str]":
    """Name the group of near-duplicates that each picture belongs to.

    Takes about 3 kB of disk a picture, and time that grows with the square of their number.

    Args:
        contents: content_hash of each picture's file; equal ones are in one group.
        batches: the pictures in the same order, uint8 [n, H, W, 1 or 3] each.
        scratch: folder for a temporary file; None: the system's.

    Returns:
        The smallest content hash of the group, so that a name stays the same whatever else is in
        the data set; missing for a picture that stands alone.
    """
    names = pd.Series(list(contents), dtype="str")
    if names.empty:
        return names
    groups = np.asarray(pd.factorize(names)[0], np.int64)
    firsts = np.flatnonzero(~names.duplicated())  # of identical files one is looked at
    with tempfile.TemporaryFile(dir=scratch) as file:
        looks = _Looks.of(batches, len(names), file)
        groups = _joined_copies(looks, firsts[looks.detailed[firsts]], groups)
    grouped = names.groupby(groups)
    return grouped.transform("min").where(grouped.transform("size") > 1)


@dataclass(frozen=True)
class _Looks:
    """What is compared of N pictures.

    Attributes:
        hashes: perceptual hash, uint64 [N].
        mirrored: that of the mirrored picture, uint64 [N].
        norms: Euclidean norm of the detail at each cut, float32 [cuts, N].
        detailed: whether there is any detail, bool [N].
        file: fine detail of the reduced picture, int8 [N, cuts, side * side]; on disk, since memory
            must not grow with the data set.
    """

    hashes: NDArray[np.uint64]
    mirrored: NDArray[np.uint64]
    norms: NDArray[np.float32]
    detailed: NDArray[np.bool_]
    file: IO[bytes]

    @classmethod
    def of(cls, batches: Iterable[Pixels], count: int, file: IO[bytes]) -> "_Looks":
        looks = cls(
            np.zeros(count, np.uint64),
            np.zeros(count, np.uint64),
            np.ones((len(_CUTS), count), np.float32),
            np.zeros(count, np.bool_),
            file,
        )
        row = 0
        for batch in batches:
            for picture in batch:
                looks._add(row, _grey(picture))
                row += 1
        return looks

    def _add(self, row: int, grey: Pixels) -> None:
        self.hashes[row] = _perceptual_hash(grey)
        self.mirrored[row] = _perceptual_hash(grey[:, ::-1])
        self.detailed[row] = True
        for cut, share in enumerate(_CUTS):
            detail = _detail(grey, round(grey.shape[0] * share))
            self.detailed[row] &= detail.std() >= _LEAST_DETAIL
            # Whole numbers take a quarter of the space; rounding moves a correlation by 0.0001.
            scaled = np.rint(detail * (127 / max(float(np.abs(detail).max()), 1e-6)))
            self.file.write(scaled.astype(np.int8).tobytes())
            self.norms[cut, row] = max(float(np.linalg.norm(scaled)), 1e-6)

    def alike(self, i: Rows, j: Rows, *, mirrored: bool) -> NDArray[np.bool_]:
        """Say of pairs whether their detail agrees at any cut: bool [len(i)]."""
        best = self._correlation(i, 0, j, 0, mirrored)
        promising = np.flatnonzero(best > _PROMISING)
        i, j = i[promising], j[promising]
        for cut in range(1, len(_CUTS)):
            for one, other in ((cut, 0), (0, cut)):
                now = self._correlation(i, one, j, other, mirrored)
                best[promising] = np.maximum(best[promising], now)
        return best > _ALIKE

    def _detail(self, rows: Rows, cut: int) -> NDArray[np.float32]:
        """Read the detail of some rows: float32 [n, side * side]."""
        needed, places = np.unique(rows, return_inverse=True)
        found = np.empty((len(needed), _SIDE * _SIDE), np.int8)
        for place, row in enumerate(needed.tolist()):
            self.file.seek((row * len(_CUTS) + cut) * _SIDE * _SIDE)
            self.file.readinto(memoryview(found[place]))  # type: ignore[attr-defined]
        return found[places].astype(np.float32)

    def _correlation(
        self, i: Rows, cut_i: int, j: Rows, cut_j: int, mirrored: bool
    ) -> NDArray[np.float32]:
        a, b = self._detail(i, cut_i), self._detail(j, cut_j)
        if mirrored:
            b = b.reshape(-1, _SIDE, _SIDE)[:, :, ::-1].reshape(b.shape)
        products = np.einsum("ij,ij->i", a, b)
        return np.asarray(products / (self.norms[cut_i, i] * self.norms[cut_j, j]), np.float32)


def _joined_copies(looks: _Looks, rows: Rows, groups: Rows) -> Rows:
    """Join the groups, int64 [N], of near-duplicates among some rows."""
    for i, j, mirrored in _candidates(looks, rows):
        left_i, left_j = i, j
        while len(left_i):
            some_i, some_j = left_i[:_BATCH], left_j[:_BATCH]
            left_i, left_j = left_i[_BATCH:], left_j[_BATCH:]
            same = looks.alike(some_i, some_j, mirrored=mirrored)
            if same.any():
                groups = _joined(groups, some_i[same], some_j[same])
                # one large group of copies has a pair for any two of them: most need no look
                apart = groups[left_i] != groups[left_j]
                left_i, left_j = left_i[apart], left_j[apart]
    return groups


def _candidates(looks: _Looks, rows: Rows) -> Iterator[tuple[Rows, Rows, bool]]:
    """Yield pairs of rows with hashes that are close, and whether one of them is mirrored."""
    hashes = looks.hashes[rows]
    for mirrored, others in ((False, hashes), (True, looks.mirrored[rows])):
        for top in range(0, len(rows), _TILE):
            for left in range(top, len(rows), _TILE):
                tile = hashes[top : top + _TILE, None] ^ others[left : left + _TILE]
                i, j = np.nonzero(np.bitwise_count(tile) <= _BITS)
                once = i + top < j + left
                yield rows[i[once] + top], rows[j[once] + left], mirrored


def _joined(groups: Rows, i: Rows, j: Rows) -> Rows:
    size = int(groups.max()) + 1
    graph = coo_array((np.ones(len(i)), (groups[i], groups[j])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][groups], np.int64)


def _grey(picture: Pixels) -> Pixels:
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _perceptual_hash(grey: Pixels) -> np.uint64:
    bits = imagehash.phash(Image.fromarray(grey)).hash
    return np.uint64(int.from_bytes(np.packbits(bits).tobytes()))


def _detail(grey: Pixels, cut: int) -> NDArray[np.float32]:
    """Return what a slight blur keeps and a wider one does not, with mean 0: float32 [32, 32]."""
    inner = grey[cut : grey.shape[0] - cut, cut : grey.shape[1] - cut]
    small = cv2.resize(inner, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = cv2.GaussianBlur(small, (0, 0), 0.7) - cv2.GaussianBlur(small, (0, 0), 2.0)
    return np.asarray(detail - detail.mean(), np.float32)
