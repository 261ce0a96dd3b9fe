"""The files of a run folder, read; errors say which is damaged and what to do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from facialnet.errors import UserError, gist
from facialnet.labels import Task

CONFIG, RESULTS, METRICS = "config.yaml", "results.json", "metrics.json"


def read_json(path: Path) -> dict[str, Any]:
    """Return an object; raise UserError where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {again(path.parent)}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({gist(error)}); {again(path.parent)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no object); {again(path.parent)}")
    return content


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of a config.yaml; raise UserError where it is missing or damaged."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: without it nobody knows what was run") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is damaged ({gist(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no settings)")
    return content


def read_epochs(path: Path) -> pd.DataFrame | None:
    """Return one row an epoch, None where nothing was trained; raise UserError if damaged."""
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # pandas' parser errors and empty files are of this kind
        raise UserError(f"{path} is damaged ({gist(error)}); delete it to go on without") from None
    return table if "epoch" in table.columns and len(table) else None


def tasks_of(folder: Path, config: Mapping[str, Any]) -> dict[str, Task]:
    """Return a run's tasks by name; raise UserError where its settings do not hold them."""
    try:
        return {
            name: Task(
                name=name,
                column=str(entry["column"]),
                classes=tuple(str(label) for label in entry["classes"]),
                ordinal=bool(entry.get("ordinal", False)),
                weight=float(entry.get("weight", 1.0)),
            )
            for name, entry in config["tasks"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / CONFIG}: the tasks cannot be read ({gist(error)})") from None


def in_sweep(folder: Path) -> bool:
    """Return whether a run is a job of a sweep."""
    return (folder.absolute().parent / "multirun.yaml").is_file()


def again(folder: Path) -> str:
    """Say how a run whose files are damaged is made anew."""
    if not (folder / "checkpoints").is_dir():
        return "test again with the command that made it"
    how = "start the command again"
    if not in_sweep(folder):  # a run by itself would be given another folder, and start anew
        how += f" with run_dir={folder} ckpt_path=last"
    return f"delete {folder / RESULTS} and {how}: it goes on from its last checkpoint"
