"""Faces that you name yourself, instead of a detector."""

import csv
import hashlib
import math
import os
from collections import defaultdict
from pathlib import Path

import numpy as np

from facialnet.data.faces.face import Face
from facialnet.data.manifest import LANDMARKS
from facialnet.errors import UserError, gist

COLUMNS = ("path", "x", "y", "width", "height")


class GivenFaces:
    """Faces of a CSV file with the columns path, x, y, width and height; a row for each face.

    Numbers are pixels of the upright picture. Ten further columns may give the five points, as
    ``right_eye_x`` to ``left_mouth_y`` (data.manifest.LANDMARKS); rows may leave them empty.

    Args:
        csv: the file.
        root: folder that its paths are relative to; None: the file's own.

    Raises UserError where the file is missing or a row cannot be used.
    """

    def __init__(self, *, csv: str | Path, root: str | Path | None = None) -> None:
        self.path = Path(csv).expanduser()
        base = self.path.parent if root is None else Path(root).expanduser()
        try:
            content = self.path.read_bytes()
            lines = content.decode("utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            reason = "there is no such file" if not self.path.exists() else gist(error)
            raise UserError(f"{self.path}: {reason}; give a CSV with {_WANTED}") from error
        self.digest = hashlib.sha256(content).hexdigest()
        self._faces = _read(lines, self.path, base)

    def faces(self, path: str | Path) -> list[Face]:
        """Return a picture's faces, largest first; none where the file does not name it."""
        return sorted(self._faces.get(_place(Path(path)), []), key=lambda face: -face.area)


_WANTED = f"the columns {', '.join(COLUMNS)}"


def _read(lines: list[str], path: Path, base: Path) -> dict[str, list[Face]]:
    reader = csv.DictReader(lines)
    columns = reader.fieldnames or ()
    if missing := [name for name in COLUMNS if name not in columns]:
        raise UserError(f"{path}: column {missing[0]!r} is missing; it needs {_WANTED}")
    some = [name for name in LANDMARKS if name in columns]
    if some and len(some) < len(LANDMARKS):
        absent = next(name for name in LANDMARKS if name not in columns)
        raise UserError(f"{path}: column {absent!r} is missing; points need all ten columns")
    faces: dict[str, list[Face]] = defaultdict(list)
    for row in reader:
        place = _place(base / (row["path"] or ""))
        faces[place].append(_face(row, bool(some), f"{path}, line {reader.line_num}"))
    return faces


def _face(row: dict[str, str], marked: bool, where: str) -> Face:
    x, y, width, height = (_number(row, name, where) for name in COLUMNS[1:])
    if width < 1 or height < 1:
        raise UserError(f"{where}: width and height must be at least 1 pixel")
    points = None
    if marked and any(row[name] for name in LANDMARKS):
        values = [_number(row, name, where) for name in LANDMARKS]
        points = np.array(values, np.float32).reshape(5, 2)
    return Face(box=(x, y, width, height), score=1.0, points=points)


def _number(row: dict[str, str], name: str, where: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where}: {name} is {row[name]!r}, not a number")
    return value


def _place(path: Path) -> str:
    return os.path.normpath(path.absolute())
