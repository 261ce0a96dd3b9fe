"""Run folders as objects: what a run was told, how it ended, what it answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from facialnet.errors import UserError, gist
from facialnet.labels import Task

_CONFIG, _RESULTS, _METRICS = "config.yaml", "results.json", "metrics.json"


@dataclass(frozen=True)
class Run:
    """One run folder, read.

    Attributes:
        folder: where it lies.
        status: ``done``, ``interrupted``, ``failed``, ``unfinished`` where the run left no
            results: it still goes on, or it was killed; ``damaged`` where a job of a sweep left
            files that cannot be read.
        config: its settings, nested as in config.yaml.
        results: content of results.json; empty for an unfinished run.
        metrics: content of metrics.json; empty unless the run is done.
        epochs: content of epochs.csv, one row an epoch; None where nothing was trained.
        tasks: what the run was asked, by name.
        problem: what is wrong with a damaged one, and what to do; else empty.
    """

    folder: Path
    status: str
    config: dict[str, Any]
    results: dict[str, Any]
    metrics: dict[str, Any]
    epochs: pd.DataFrame | None
    tasks: dict[str, Task]
    problem: str = ""

    @property
    def done(self) -> bool:
        """Return whether the run came to its end, so that its figures may be used."""
        return self.status == "done"

    @property
    def name(self) -> str:
        """Return the experiment's name."""
        return str(self.results.get("name") or self.config.get("name") or self.folder.name)

    @property
    def fold(self) -> int | None:
        """Return the fold that the run tested, or None where its protocol has none."""
        fold = self.results.get("fold", self.settings.get("protocol.test_fold"))
        return None if fold is None else int(fold)

    @property
    def seed(self) -> int | None:
        """Return the seed of starting weights, order and augmentation."""
        seed = self.results.get("seed", self.config.get("seed"))
        return None if seed is None else int(seed)

    @property
    def protocol(self) -> str:
        """Return the protocol in words; the class's name where the run did not get that far."""
        target = str(self.settings.get("protocol._target_", "?"))
        return str(self.results.get("protocol") or target.rpartition(".")[2])

    @property
    def stamp(self) -> str | None:
        """Return what the leak guard found, in one line, or None where nothing is shared."""
        stamp = self.results.get("stamp")
        return None if stamp is None else str(stamp)

    @property
    def data(self) -> str:
        """Return the data set's name."""
        source = str(self.settings.get("data.source._target_", "?")).rpartition(".")[2]
        return str(self.results.get("data") or source.removesuffix("Source").lower())

    @property
    def checkpoint(self) -> str | None:
        """Return the file that an evaluation tested; None of a run that trained its network."""
        path = self.results.get("checkpoint")
        return None if path is None else str(path)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return the settings as dotted keys and values."""
        return flat(self.config)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Return the answers, one row a tested image.

        Raises UserError where the file is missing or damaged.
        """
        path = self.folder / "predictions.parquet"
        try:
            return pd.read_parquet(path)
        except FileNotFoundError:
            raise UserError(f"{path} is missing; {_again(self.folder)}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({gist(error)}); {_again(self.folder)}") from None

    def majority(self, task: str) -> float | None:
        """Return the accuracy of always answering the most frequent training class."""
        value = self.results.get("metrics", {}).get(f"test/{task}/majority")
        return None if value is None else float(value)


def read_run(folder: Path) -> Run:
    """Read a run folder.

    Raises UserError where there is no run, where it has not ended, or where a file is damaged.
    """
    run = _read(folder)
    if run.status == "unfinished":
        goes_on = (
            "start the sweep again: finished jobs are passed over, this one goes on"
            if _in_sweep(folder)
            else f"go on with the command that started it, run_dir={folder} and ckpt_path=last"
        )
        raise UserError(
            f"{folder}: this run has no {_RESULTS}: it has not ended, or was killed; {goes_on}"
        )
    return run


def find_runs(folder: Path) -> list[Run]:
    """Return the runs of a folder: the one that it is, or those of a sweep, one or two levels down.

    Raises UserError where there is none, and where the folder itself is a run that has not ended or
    whose files are damaged. In a sweep, such jobs are returned as ``unfinished`` and ``damaged``;
    only settings that cannot be read stop it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name a run's folder, or a sweep's")
    if _holds_run(folder):
        return [read_run(folder)]
    jobs = [path for level in ("*", "*/*") for path in folder.glob(level) if _holds_run(path)]
    if jobs:
        return [_read_job(path) for path in sorted(jobs)]
    raise UserError(
        f"{folder}: no run in here (a run's folder holds {_CONFIG} and {_RESULTS}); name a run's "
        "folder, or a sweep's"
    )


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys and values; an empty group is a value."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return found


def _holds_run(folder: Path) -> bool:
    return (folder / _CONFIG).is_file() or (folder / _RESULTS).is_file()


def _read(folder: Path) -> Run:
    config = _yaml(folder / _CONFIG)
    results = _json(folder / _RESULTS) if (folder / _RESULTS).is_file() else {}
    status = str(results.get("status", "failed")) if results else "unfinished"
    metrics = _json(folder / _METRICS) if status == "done" else {}
    if status == "done" and not isinstance(metrics.get("tasks"), dict):
        raise UserError(f"{folder / _METRICS} is damaged (it holds no tasks); {_again(folder)}")
    return Run(
        folder=folder,
        status=status,
        config=config,
        results=results,
        metrics=metrics,
        epochs=_epochs(folder / "epochs.csv"),
        tasks=_tasks(folder, config),
    )


def _read_job(folder: Path) -> Run:
    """Read a sweep's job; where its figures are damaged, without them."""
    try:
        run = _read(folder)
        if run.done:
            _ = run.predictions  # damage shows only once they are read
    except UserError as error:
        config = _yaml(folder / _CONFIG)
        tasks = _tasks(folder, config)
        return Run(folder, "damaged", config, {}, {}, None, tasks, problem=str(error))
    return run


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {_again(path.parent)}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({gist(error)}); {_again(path.parent)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no object); {_again(path.parent)}")
    return content


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: without it nobody knows what was run") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is damaged ({gist(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no settings)")
    return content


def _epochs(path: Path) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    try:
        table = pd.read_csv(path)
    except ValueError as error:  # pandas' parser errors and empty files are of this kind
        raise UserError(f"{path} is damaged ({gist(error)}); delete it to go on without") from None
    return table if "epoch" in table.columns and len(table) else None


def _tasks(folder: Path, config: Mapping[str, Any]) -> dict[str, Task]:
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
        raise UserError(f"{folder / _CONFIG}: the tasks cannot be read ({gist(error)})") from None


def _in_sweep(folder: Path) -> bool:
    return (folder.absolute().parent / "multirun.yaml").is_file()


def _again(folder: Path) -> str:
    if not (folder / "checkpoints").is_dir():
        return "test again with the command that made it"
    how = "start the command again"
    if not _in_sweep(folder):  # a run by itself would be given another folder, and start anew
        how += f" with run_dir={folder} ckpt_path=last"
    return f"delete {folder / _RESULTS} and {how}: it goes on from its last checkpoint"
