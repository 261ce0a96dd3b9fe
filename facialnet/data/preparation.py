"""From a source to a store, with an audit of what was read, kept and dropped."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.data.audit_file import Audit, make_audit, read_audit, write_audit
from facialnet.data.exclusions import Exclusions, exclude_rows, read_exclusions
from facialnet.data.landmark_cache import Stamp
from facialnet.data.landmarks import FaceSearch, mark_faces
from facialnet.data.manifest import Reading, Source, as_manifest, manifest_hash
from facialnet.data.store import Store, open_store
from facialnet.data.store_writing import Progress, check_pictures, write_store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError

_AUDIT = "audit.json"
_FORMAT = 3  # of the stores; raise it whenever the same files and settings give another store


@dataclass(frozen=True)
class Prepared:
    """What preparation leaves: the store (None after audit_only), the audit and its file.

    ``manifest`` has the rows that are kept, also where there is no store.
    """

    store: Store | None
    audit: Audit
    audit_path: Path
    manifest: pd.DataFrame = field(default_factory=pd.DataFrame)


def prepare(
    source: Source,
    preprocessing: Preprocessing,
    *,
    spec: dict[str, Any],
    folder: Path,
    max_missing: float = 0.01,
    audit_only: bool = False,
    exclude: Path | None = None,
    search: FaceSearch | None = None,
    progress: Progress | None = None,
    search_progress: Progress | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Read a source, audit it and write its store, unless that store is already there.

    Args:
        source: the data set.
        preprocessing: from pictures to stored pixels.
        spec: the plain settings that ``preprocessing`` was made from; part of the store's key.
        folder: stores are written below it, in ``<name>-<key>/store``, the audit beside them.
        max_missing: share of listed pictures that may be missing on disk, in [0, 1].
        audit_only: stop after the audit, without writing pixels.
        exclude: list of pictures to leave out; see data.exclusions.
        search: finds the five points of pictures that come without; those without a face are left
            out. None: no picture is searched.
        progress: called with pictures done and pictures in all.
        search_progress: the same, while faces are searched.
        announce: called with a sentence before long work.

    Raises:
        UserError: the data set is not there, too many pictures are missing, none is usable, the
            exclusion list cannot be used, the disk is full or the store was altered.
    """
    if not 0 <= max_missing <= 1:
        raise UserError(f"data.max_missing={max_missing} must lie between 0 and 1")
    exclusions = None if exclude is None else read_exclusions(exclude)
    reading = source.read()
    table = as_manifest(reading.rows)
    stamps = _mark_missing(table, reading.root)
    if exclusions is not None:
        notes = exclude_rows(table, reading.root, exclusions)
        reading = replace(reading, notes=[*reading.notes, *notes])
    key = _store_key(table, stamps, spec, exclusions, search)
    place = folder / f"{reading.name}-{key[:12]}"
    audit_path = place / _AUDIT
    earlier = read_audit(audit_path)
    _refuse_missing(reading, table, max_missing, earlier, audit_path)
    if (place / "store").is_dir() and earlier is not None and not audit_only:
        return _prepared(place, earlier, reading)
    if search is not None:
        mark_faces(
            table,
            stamps,
            reading.root,
            search,
            folder=folder,
            name=reading.name,
            progress=search_progress,
            announce=announce,
        )
    rows = table[table["dropped"].isna()].drop(columns="dropped").reset_index(drop=True)
    announce(f"preparing {len(rows):,} pictures of {reading.name} in {place}")
    if audit_only:
        broken = check_pictures(rows, reading.root, preprocessing, progress)
    else:
        broken = write_store(
            place / "store",
            key=key,
            rows=rows,
            root=reading.root,
            preprocessing=preprocessing,
            spec=spec,
            progress=progress,
            announce=announce,
        )
    table.loc[table["path"].isin(list(broken)) & table["dropped"].isna(), "dropped"] = "unreadable"
    audit = make_audit(reading, table) | {"unreadable_files": broken}
    write_audit(audit, audit_path)
    if audit_only:
        kept = rows[~rows["path"].isin(list(broken))].reset_index(drop=True)
        return Prepared(None, audit, audit_path, kept)
    return _prepared(place, audit, reading)


def _prepared(place: Path, audit: Audit, reading: Reading) -> Prepared:
    """Open a store that was written, now or earlier; refuse one without pictures."""
    path = place / _AUDIT
    if audit["kept"] == 0:
        raise UserError(f"no usable picture in {reading.root.absolute()}; see {path.absolute()}")
    store = open_store(place / "store")
    return Prepared(store, audit, path, store.manifest)


def _mark_missing(table: pd.DataFrame, root: Path) -> dict[int, Stamp]:
    """Mark rows without a file as dropped; the stamps of the others' files, by index."""
    if "dropped" not in table.columns:
        table["dropped"] = pd.Series(pd.NA, index=table.index, dtype="str")
    stamps: dict[int, Stamp] = {}
    missing = []
    for index in table.index[table["dropped"].isna()]:
        try:
            stat = (root / str(table.at[index, "path"])).stat()
            stamps[index] = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            missing.append(index)
    table.loc[missing, "dropped"] = "missing file"
    return stamps


def _store_key(
    table: pd.DataFrame,
    stamps: dict[int, Stamp],
    spec: dict[str, Any],
    exclusions: Exclusions | None,
    search: FaceSearch | None,
) -> str:
    excluded = None if exclusions is None else exclusions.digest
    content = [_FORMAT, manifest_hash(table), list(stamps.values()), spec, excluded]
    if search is not None:  # keys of before there was a search still hold
        content.append(search.settings)
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _refuse_missing(
    reading: Reading, table: pd.DataFrame, allowed: float, earlier: Audit | None, path: Path
) -> None:
    """Refuse a table of which a larger share than allowed is missing; leave an audit of it."""
    missing = int((table["dropped"] == "missing file").sum())
    wanted = missing + int(table["dropped"].isna().sum())
    if missing <= allowed * wanted:
        return
    audit = make_audit(reading, table)
    write_audit(earlier or audit, path)
    raise UserError(
        f"{missing:,} of {wanted:,} listed pictures are missing below "
        f"{reading.root.absolute()}, such as {audit['missing_files'][0]}; put them there, or allow "
        f"a larger share than data.max_missing={allowed}; all of them: {path.absolute()}"
    )
