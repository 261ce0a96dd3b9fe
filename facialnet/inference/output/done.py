"""Which photos have been answered already, in eight bytes each."""

import hashlib
import os
from array import array

import numpy as np
from numpy.typing import NDArray


class Done:
    """A set of photos' keys that is filled first and then asked.

    Two of a million photos share their eight bytes with a probability of 3 in 100 million; the
    second would then be taken for done.
    """

    def __init__(self) -> None:
        self._new = array("Q")
        self._sorted: NDArray[np.uint64] = np.empty(0, np.uint64)

    def __len__(self) -> int:
        return len(self._new) or len(self._sorted)

    def add(self, key: bytes) -> None:
        """Add a key; see ``Photo.key``."""
        self._new.append(_digest(key))

    def __contains__(self, key: bytes) -> bool:
        if len(self._new) != len(self._sorted):
            self._sorted = np.sort(np.frombuffer(self._new, np.uint64))
        if not len(self._sorted):
            return False
        digest = np.uint64(_digest(key))
        place = int(np.searchsorted(self._sorted, digest))
        return place < len(self._sorted) and bool(self._sorted[place] == digest)


def row_key(path: str, frame: int | None) -> bytes:
    """Return the key of the photo that a written row is about."""
    return os.fsencode(path) + (b"" if frame is None else b"\0%d" % frame)


def _digest(key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest())
