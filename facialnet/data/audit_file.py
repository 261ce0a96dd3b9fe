"""The audit of a data set: what was read, kept and dropped, counted and put on disk."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.data.manifest import Reading
from facialnet.labels import AGE_GROUPS, GENDERS, RACES

Audit = dict[str, Any]


def make_audit(reading: Reading, table: pd.DataFrame) -> Audit:
    """Count what was read and kept.

    ``with_gender``, ``with_age``, ``with_both`` and ``age_counts`` count the labels of all rows
    read, as the paper notes do (section 7); ``kept_counts`` those of the rows that are kept.

    Args:
        reading: what the source read.
        table: its rows as a manifest with ``dropped``, the reason why a row is left out.
    """
    gender, age = table["gender"].notna(), table["age_group"].notna()
    kept = table[table["dropped"].isna()]
    columns = {"gender": GENDERS, "age_group": AGE_GROUPS, "race": RACES}
    files = {
        reason: table.loc[table["dropped"] == reason, "path"].tolist()
        for reason in ("missing file", "no face")
    }
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
        "missing": len(files["missing file"]),
        "no_face": len(files["no face"]),
        "unreadable": int((table["dropped"] == "unreadable").sum()),
        "dropped": table["dropped"].value_counts().to_dict(),
        "notes": reading.notes,
        "missing_files": files["missing file"],
        "no_face_files": files["no face"],
        "unreadable_files": {},
    }


def _distinct(kept: pd.DataFrame, column: str) -> int:
    """Count the names of a column, which mean something within their data set only."""
    return int(kept.groupby("source", dropna=False)[column].nunique().sum())


def _class_counts(column: "pd.Series[str]", names: tuple[str, ...]) -> dict[str, int]:
    counts = column.value_counts()
    return {name: int(counts.get(name, 0)) for name in names}


def read_audit(path: Path) -> Audit | None:
    """Return an earlier run's audit, or None where there is none that can be read."""
    try:
        audit: Audit = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return audit


def write_audit(audit: Audit, path: Path) -> None:
    """Write the audit; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(audit, indent=2, ensure_ascii=False))
    partial.replace(path)
