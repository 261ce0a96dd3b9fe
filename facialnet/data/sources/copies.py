"""Identical files of a data set whose rows know no photo, and labels on which they disagree."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from facialnet.data.fingerprints import content_hash


def photo_of(picture: Path, root: Path) -> str:
    """Return a name for the content of a file; a file that cannot be read equals no other."""
    try:
        return content_hash(picture)
    except OSError:  # the check of the pictures reports it
        return f"unreadable {picture.relative_to(root).as_posix()}"


def drop_conflicts(table: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    """Remove, in place, labels on which rows of one ``photo`` disagree; return what was found."""
    copies = table.groupby("photo")
    groups = int((copies.size() > 1).sum())
    notes = []
    for column in columns:
        disagree = copies[column].nunique() > 1
        if not disagree.any():
            continue
        notes.append(
            f"{disagree.sum()} of {groups} groups of identical files disagree on {column}: "
            "labels dropped"
        )
        table.loc[table["photo"].map(disagree), column] = pd.NA
    return notes
