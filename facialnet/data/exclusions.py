"""Pictures that a user has looked at and wants left out."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from facialnet.data.fingerprints import content_hash
from facialnet.errors import UserError, gist

COLUMNS = ("path", "content", "reason")
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Exclusions:
    """An exclusion list.

    Attributes:
        contents: content hashes of the files by path, as they were when the list was made.
        digest: hash of the list, for the store's key.
    """

    contents: dict[str, set[str]]
    digest: str


def read_exclusions(path: Path) -> Exclusions:
    """Read a CSV file with the columns ``path``, ``content`` and ``reason``; others are ignored.

    Raises UserError where it is missing or malformed.
    """
    path = path.expanduser()
    try:
        table = pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:  # pandas' own errors are of the second kind
        reason = "there is no such file" if not path.exists() else gist(error)
        raise UserError(f"data.exclude={path}: {reason}; give a CSV with {_WANTED}") from error
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise UserError(
            f"data.exclude={path}: column {missing[0]!r} is missing; it needs {_WANTED}"
        )
    contents: dict[str, set[str]] = {}
    for line, (name, content) in enumerate(
        zip(table["path"], table["content"], strict=True), start=2
    ):
        if not name or _HASH.fullmatch(content) is None:
            raise UserError(
                f"data.exclude={path}: row {line}: {content!r} is no content hash of a picture's "
                f"path {name!r}; make the list anew or take the row out"
            )
        contents.setdefault(name, set()).add(content)
    rows = sorted((name, content) for name, found in contents.items() for content in found)
    return Exclusions(contents, hashlib.blake2b(repr(rows).encode(), digest_size=16).hexdigest())


_WANTED = f"the columns {', '.join(COLUMNS)}"


def exclude_rows(table: pd.DataFrame, root: Path, exclusions: Exclusions) -> list[str]:
    """Mark, in place, the listed rows as dropped; return notes for the audit.

    A file that is not the one listed stays in: nobody has looked at it.

    Args:
        table: manifest with ``dropped``; rows that are dropped already keep their reason.
        root: folder that the paths are relative to.
        exclusions: the list.
    """
    changed: list[str] = []
    wanted = table.index[table["dropped"].isna() & table["path"].isin(list(exclusions.contents))]
    for index in wanted:
        path = str(table.at[index, "path"])
        if _hash_of(root / path) in exclusions.contents[path]:
            table.loc[index, "dropped"] = "excluded"
        else:
            changed.append(path)
    notes = []
    if changed:
        notes.append(
            f"exclusion list: kept {len(changed):,} whose file has changed since, "
            f"such as {changed[0]}"
        )
    if unknown := sorted(set(exclusions.contents) - set(table["path"])):
        notes.append(
            f"exclusion list: {len(unknown):,} of {len(exclusions.contents):,} paths are not in "
            f"this data set, such as {unknown[0]}"
        )
    return notes


def _hash_of(path: Path) -> str | None:
    try:
        return content_hash(path)
    except OSError:  # decoding it will say what is wrong
        return None
