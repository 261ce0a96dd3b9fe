"""The one table that every data set becomes: its columns, its checks, its file."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd

from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS, GENDERS, RACES

# One row a picture; what is not known is missing (pd.NA), never a made-up value.
COLUMNS: dict[str, Literal["str", "Int64"]] = {
    "path": "str",  # relative to the data set's root, with forward slashes
    "source": "str",  # name of the data set
    "subject": "str",  # one person
    "album": "str",  # one photographer's pictures; people do not cross albums
    "photo": "str",  # one photograph or one content: rows that share it must not be split up
    "fold": "Int64",  # official fold, from 0
    "part": "str",  # the data set's own partition
    "gender": "str",
    "age_group": "str",
    "age_years": "Int64",
    "race": "str",
}
LANDMARKS = tuple(
    f"{point}_{axis}"
    for point in ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
    for axis in "xy"
)  # optional columns: five points in pixels of the picture, right and left as the person has them
# Optional too: share of the picture's centred square that is used, where a data set shows more than
# those that it is joined with.
CROP = "crop"
# Optional columns too; preparation adds them: a hash of the file's bytes, and the group of
# near-duplicates that the picture belongs to, missing where it stands alone.
FINGERPRINTS = ("content", "lookalike")
LABELS = {"gender": GENDERS, "age_group": AGE_GROUPS, "race": RACES}
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Reading:
    """What a source read: every row of the raw data set, kept or not.

    Attributes:
        rows: manifest columns and ``dropped``, the reason why a row is left out (missing = kept).
        root: folder that ``path`` is relative to.
        name: short name of the data set, used in folder names.
        duplicates: rows or files that repeat an earlier one.
        notes: sentences for the audit, such as conflicts that were found.
        licence: under which terms the pictures may be used.
    """

    rows: pd.DataFrame
    root: Path
    name: str
    duplicates: int = 0
    notes: list[str] = field(default_factory=list)
    licence: str = "not stated"


class Source(Protocol):
    """A data set on disk."""

    def read(self) -> Reading:
        """Read the raw files' names and labels; raises UserError where they are not there."""
        ...


def as_manifest(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the manifest's columns and types, missing columns as missing values.

    Raises UserError for an unknown column, label or part, a crop outside (0, 1] or a path that
    leaves the root.
    """
    known = [*COLUMNS, *LANDMARKS, CROP, *FINGERPRINTS, "dropped"]
    if unknown := [name for name in frame.columns if name not in known]:
        raise UserError(f"manifest: unknown column {unknown[0]!r}; known are {', '.join(known)}")
    if "path" not in frame.columns:
        raise UserError("manifest: the column 'path' is missing")
    frame = frame.reset_index(drop=True)
    table = pd.DataFrame(index=frame.index)
    for name, dtype in COLUMNS.items():
        column = frame[name] if name in frame.columns else pd.Series(pd.NA, index=frame.index)
        table[name] = column.astype(dtype)
    for name in (*LANDMARKS, CROP):
        if name in frame.columns:
            table[name] = frame[name].astype("float32")
    for name in (*FINGERPRINTS, "dropped"):
        if name in frame.columns:
            table[name] = frame[name].astype("str")
    _check_values(table)
    _check_paths(table["path"])
    return table


def _check_values(table: pd.DataFrame) -> None:
    for column, names in (*LABELS.items(), ("part", PARTS)):
        wrong = table.index[table[column].notna() & ~table[column].isin(names)]
        if len(wrong):
            row = table.loc[wrong[0]]
            raise UserError(
                f"manifest: unknown {column} {row[column]!r} for {row['path']}; "
                f"allowed are {', '.join(names)}"
            )
    if CROP in table.columns:
        wrong = table.index[~(table[CROP].isna() | table[CROP].between(0, 1, inclusive="right"))]
        if len(wrong):
            row = table.loc[wrong[0]]
            raise UserError(f"manifest: crop {row[CROP]:g} for {row['path']} must lie in (0, 1]")


def _check_paths(paths: pd.Series) -> None:
    given = paths.dropna()
    outside = given.str.startswith("/") | given.str.split("/").map(lambda parts: ".." in parts)
    if paths.isna().any() or outside.any():
        raise UserError("manifest: every path must be given and stay inside the data set's root")


def manifest_hash(table: pd.DataFrame) -> str:
    """Return a hash of the rows that stays the same on every machine."""
    if "part" in table.columns and table["part"].isna().all():
        table = table.drop(columns="part")  # younger than the first stores, whose hashes still hold
    lines = table.to_csv(index=False, lineterminator="\n").encode()
    return hashlib.blake2b(lines, digest_size=16).hexdigest()


def write_manifest(table: pd.DataFrame, path: Path) -> None:
    """Write the manifest as Parquet."""
    table.to_parquet(path, index=False)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest that write_manifest wrote."""
    return as_manifest(pd.read_parquet(path))
