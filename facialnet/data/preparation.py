"""From a source to a store, with an audit of what was read, kept and dropped."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.data.exclusions import Exclusions, exclude_rows, read_exclusions
from facialnet.data.manifest import Reading, Source, as_manifest, manifest_hash
from facialnet.data.store import Progress, Store, check_pictures, open_store, write_store
from facialnet.data.transforms import Preprocessing
from facialnet.errors import UserError
from facialnet.labels import AGE_GROUPS, GENDERS, RACES

Audit = dict[str, Any]
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
    progress: Progress | None = None,
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
        progress: called with pictures done and pictures in all.
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
    rows = table[table["dropped"].isna()].drop(columns="dropped").reset_index(drop=True)
    key = _store_key(table, stamps, spec, exclusions)
    place = folder / f"{reading.name}-{key[:12]}"
    audit_path = place / _AUDIT
    earlier = _read_audit(audit_path)
    if _too_many_missing(table, max_missing):
        audit = _audit(reading, table)
        _write_audit(earlier or audit, audit_path)
        raise UserError(_missing_message(audit, reading, max_missing, audit_path))
    if (place / "store").is_dir() and earlier is not None and not audit_only:
        _check_usable(earlier, reading, audit_path)
        return _prepared(place, earlier)
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
    audit = _audit(reading, table) | {"unreadable_files": broken}
    _write_audit(audit, audit_path)
    if audit_only:
        kept = rows[~rows["path"].isin(list(broken))].reset_index(drop=True)
        return Prepared(None, audit, audit_path, kept)
    _check_usable(audit, reading, audit_path)
    return _prepared(place, audit)


def _prepared(place: Path, audit: Audit) -> Prepared:
    store = open_store(place / "store")
    return Prepared(store, audit, place / _AUDIT, store.manifest)


def _mark_missing(table: pd.DataFrame, root: Path) -> list[tuple[int, int]]:
    """Mark rows without a file as dropped; size and time stamp of the others' files."""
    if "dropped" not in table.columns:
        table["dropped"] = pd.Series(pd.NA, index=table.index, dtype="str")
    stamps, missing = [], []
    for index in table.index[table["dropped"].isna()]:
        try:
            stat = (root / str(table.at[index, "path"])).stat()
            stamps.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            missing.append(index)
    table.loc[missing, "dropped"] = "missing file"
    return stamps


def _store_key(
    table: pd.DataFrame,
    stamps: list[tuple[int, int]],
    spec: dict[str, Any],
    exclusions: Exclusions | None,
) -> str:
    excluded = None if exclusions is None else exclusions.digest
    content = json.dumps([_FORMAT, manifest_hash(table), stamps, spec, excluded], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def _audit(reading: Reading, table: pd.DataFrame) -> Audit:
    """Count what was read and kept.

    ``with_gender``, ``with_age``, ``with_both`` and ``age_counts`` count the labels of all rows
    read, as the paper notes do (section 7); ``kept_counts`` those of the rows that are kept.
    """
    gender, age = table["gender"].notna(), table["age_group"].notna()
    kept = table[table["dropped"].isna()]
    missing = table.loc[table["dropped"] == "missing file", "path"]
    columns = {"gender": GENDERS, "age_group": AGE_GROUPS, "race": RACES}
    return {
        "data": reading.name,
        "root": str(reading.root.absolute()),
        "licence": reading.licence,
        "rows": len(table),
        "kept": len(kept),
        "with_gender": int(gender.sum()),
        "with_age": int(age.sum()),
        "with_both": int((gender & age).sum()),
        "age_counts": _class_counts(table["age_group"], AGE_GROUPS),
        "kept_counts": {name: _class_counts(kept[name], names) for name, names in columns.items()},
        "people": _distinct(kept, "subject"),
        "albums": _distinct(kept, "album"),
        "duplicates": reading.duplicates,
        "missing": len(missing),
        "unreadable": int((table["dropped"] == "unreadable").sum()),
        "dropped": table["dropped"].value_counts().to_dict(),
        "notes": reading.notes,
        "missing_files": missing.tolist(),
        "unreadable_files": {},
    }


def _distinct(kept: pd.DataFrame, column: str) -> int:
    """Count the names of a column, which mean something within their data set only."""
    return int(kept.groupby("source", dropna=False)[column].nunique().sum())


def _class_counts(column: "pd.Series[str]", names: tuple[str, ...]) -> dict[str, int]:
    counts = column.value_counts()
    return {name: int(counts.get(name, 0)) for name in names}


def _too_many_missing(table: pd.DataFrame, max_missing: float) -> bool:
    missing = int((table["dropped"] == "missing file").sum())
    wanted = missing + int(table["dropped"].isna().sum())
    return missing > max_missing * wanted


def _missing_message(audit: Audit, reading: Reading, max_missing: float, path: Path) -> str:
    wanted = audit["missing"] + audit["kept"]
    return (
        f"{audit['missing']:,} of {wanted:,} listed pictures are missing below "
        f"{reading.root.absolute()}, such as {audit['missing_files'][0]}; put them there, or allow "
        f"a larger share than data.max_missing={max_missing}; all of them: {path.absolute()}"
    )


def _check_usable(audit: Audit, reading: Reading, path: Path) -> None:
    if audit["kept"] == 0:
        raise UserError(f"no usable picture in {reading.root.absolute()}; see {path.absolute()}")


def _read_audit(path: Path) -> Audit | None:
    """Return an earlier run's audit, or None where there is none that can be read."""
    try:
        audit: Audit = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return audit


def _write_audit(audit: Audit, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(audit, indent=2, ensure_ascii=False))
    partial.replace(path)
