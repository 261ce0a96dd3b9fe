"""Answers as flat rows, one for each face, for CSV and Parquet."""

from collections.abc import Iterator, Mapping
from typing import Any

from facialnet.labels import Task

Row = dict[str, Any]
# Python type of each column that is there whatever the tasks are.
COLUMNS: dict[str, type] = {
    **{"path": str, "error": str, "no_face": str, "frame": int, "time": float},
    **{"faces": int, "face": int},
    **{"x": float, "y": float, "width": float, "height": float, "detection": float},
}


def columns_of(tasks: Mapping[str, Task]) -> dict[str, type]:
    """Return the columns, by name, and what their values are."""
    columns = dict(COLUMNS)
    for name, task in tasks.items():
        columns |= {name: str, f"{name}_probability": float, f"{name}_not_sure": bool}
        if task.ordinal:
            columns |= {f"{name}_index": int, f"{name}_expected_years": float}
        columns |= {f"{name}_p_{label}": float for label in task.classes}
    return columns


def rows_of(content: Mapping[str, Any], tasks: Mapping[str, Task]) -> Iterator[Row]:
    """Yield a row for each face of a plain answer; one for a photo without faces.

    ``faces`` counts those of the photo, ``face`` numbers them from 0. Values that do not apply are
    None.

    Args:
        content: what ``PhotoAnswer.plain`` returned.
        tasks: task name to task.
    """
    faces = content["faces"]
    about: Row = {name: content.get(name) for name in COLUMNS if name in content}
    about["faces"] = len(faces)
    if not faces:
        yield dict.fromkeys(columns_of(tasks)) | about
    for number, face in enumerate(faces):
        row = dict.fromkeys(columns_of(tasks)) | about | {"face": number}
        row |= dict(zip(("x", "y", "width", "height"), face["box"], strict=True))
        row["detection"] = face["detection"]
        for name in tasks:
            row |= _task_values(name, face[name])
        yield row


def _task_values(name: str, answer: Mapping[str, Any]) -> Row:
    values = {
        name: answer["label"],
        f"{name}_probability": answer["probability"],
        f"{name}_not_sure": answer.get("not_sure", False),
    }
    if "index" in answer:
        values |= {
            f"{name}_index": answer["index"],
            f"{name}_expected_years": answer.get("expected_years"),
        }
    return values | {f"{name}_p_{label}": p for label, p in answer["probabilities"].items()}
