"""What a detector found in files, kept on disk so that no file is searched twice."""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from facialnet.data.faces.face import Points
from facialnet.data.manifest import LANDMARKS

Stamp = tuple[int, int]  # a file's size in bytes and its time stamp in nanoseconds


class LandmarkCache:
    """Five points by file, in a Parquet file that is always whole.

    Args:
        path: the file; where it is missing or damaged, the cache begins empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, tuple[Stamp, Points]] = {}
        try:
            table = pd.read_parquet(path)
            points = table[list(LANDMARKS)].to_numpy(np.float32).reshape(-1, 5, 2)
            stamps = zip(table["size"].tolist(), table["time"].tolist(), strict=True)
            entries = zip(stamps, points, strict=True)
            self._found = dict(zip(table["path"].tolist(), entries, strict=True))
        except (OSError, ValueError, KeyError):  # nobody's work is lost: it is searched again
            pass

    def get(self, path: str, stamp: Stamp) -> Points | None:
        """Return the points, NaN where no face was found; None if this file was not searched."""
        there, points = self._found.get(path, (None, None))
        return points if there == stamp else None

    def put(self, path: str, stamp: Stamp, points: Points) -> None:
        """Remember the points of a file: float32 [5, 2], NaN where no face was found."""
        self._found[path] = (stamp, points)

    def save(self) -> None:
        """Write the file; what was there stays until the new one is complete."""
        table = pd.DataFrame(
            {
                "path": list(self._found),
                "size": [stamp[0] for stamp, _ in self._found.values()],
                "time": [stamp[1] for stamp, _ in self._found.values()],
            }
        )
        points = [points.reshape(-1) for _, points in self._found.values()]
        table[list(LANDMARKS)] = np.array(points, np.float32).reshape(-1, len(LANDMARKS))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        try:
            table.to_parquet(partial, index=False)
            partial.replace(self.path)
        finally:
            partial.unlink(missing_ok=True)
