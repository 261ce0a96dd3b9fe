"""Files below a folder in a stable order, however many there are."""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path

_IN_MEMORY = 20_000  # names that are sorted in memory; more go through a file


def files_below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, folder by folder, in the order of the names' bytes.

    Memory does not grow with the number of files. Hidden files and folders are left out, links to
    files are followed, links to folders are not. A folder that may not be read counts as empty.
    """
    for name, is_folder in sorted_names(_entries(folder)):
        path = folder / os.fsdecode(name)
        if is_folder:
            yield from files_below(path)
        else:
            yield path


def sorted_names(entries: Iterable[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
    """Yield (name, mark) pairs in the order of the names, through a file where they are many."""
    entries = iter(entries)
    first = list(islice(entries, _IN_MEMORY))
    if len(first) < _IN_MEMORY:
        yield from sorted(first)
        return
    with (
        tempfile.TemporaryDirectory(prefix="facialnet-") as folder,
        closing(sqlite3.connect(Path(folder) / "names.db", isolation_level=None)) as base,
    ):
        # Gone with this process anyway, so nothing needs to survive a power cut.
        base.execute("PRAGMA journal_mode = OFF")
        base.execute("PRAGMA synchronous = OFF")
        base.execute("PRAGMA temp_store = FILE")
        base.execute("CREATE TABLE entry (name BLOB, mark INTEGER)")
        base.execute("BEGIN")
        base.executemany("INSERT INTO entry VALUES (?, ?)", chain(first, entries))
        base.execute("COMMIT")
        first.clear()
        for name, mark in base.execute("SELECT name, mark FROM entry ORDER BY name"):
            yield name, bool(mark)


def _entries(folder: Path) -> Iterator[tuple[bytes, bool]]:
    try:
        with os.scandir(os.fsencode(folder)) as entries:
            for entry in entries:
                if not entry.name.startswith(b"."):
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if is_folder or not entry.is_dir():
                        yield entry.name, is_folder
    except OSError:
        return
