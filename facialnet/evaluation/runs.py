"""Run folders as objects: what a run was told, how it ended, what it answered."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.errors import UserError, gist
from facialnet.evaluation.run_files import (
    CONFIG,
    METRICS,
    RESULTS,
    again,
    in_sweep,
    read_epochs,
    read_json,
    read_settings,
    tasks_of,
)
from facialnet.labels import Task


@dataclass(frozen=True)
class Run:
    """One run folder, read.

    Attributes:
        folder: where it lies.
        status: ``done``, ``interrupted``, ``failed``, ``pruned`` by a search that saw no promise in
            it, ``unfinished`` where the run left no results: it still goes on, or it was killed;
            ``damaged`` where a job of a sweep left files that cannot be read.
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
    def system(self) -> str | None:
        """Return the name that was given as ``+system=NAME``, or None."""
        overrides = [str(each).partition("=") for each in self.results.get("overrides") or []]
        names = [name for key, _, name in overrides if key.lstrip("+") == "system" and name]
        return names[-1] if names else None

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

    @property
    def validation(self) -> float | None:
        """Return the validation accuracy, the mean over the tasks; also of a pruned run.

        It is what a search compares: ``score`` where the run left one, else that of the last epoch.
        """
        last = (self.results.get("metrics") or {}).get("val/accuracy")
        score = self.results.get("score")
        value = float(score if score is not None else last if last is not None else math.nan)
        return value if math.isfinite(value) else None

    @property
    def claim(self) -> dict[str, Any]:
        """Return what a paper reports of this experiment, on whatever data; empty if nothing."""
        claim = self.config.get("claim")
        return claim if isinstance(claim, dict) else {}

    @property
    def trouble(self) -> str:
        """Return in one line why it has no figures, as far as that is known; else empty."""
        error = str(self.results.get("error") or "").strip()
        return "" if self.done else self.problem or error.partition("\n")[0]

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
            raise UserError(f"{path} is missing; {again(self.folder)}") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({gist(error)}); {again(self.folder)}") from None

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
            if in_sweep(folder)
            else f"go on with the command that started it, run_dir={folder} and ckpt_path=last"
        )
        raise UserError(
            f"{folder}: this run has no {RESULTS}: it has not ended, or was killed; {goes_on}"
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
        f"{folder}: no run in here (a run's folder holds {CONFIG} and {RESULTS}); name a run's "
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
    return (folder / CONFIG).is_file() or (folder / RESULTS).is_file()


def _read(folder: Path) -> Run:
    config = read_settings(folder / CONFIG)
    results = read_json(folder / RESULTS) if (folder / RESULTS).is_file() else {}
    status = str(results.get("status", "failed")) if results else "unfinished"
    metrics = read_json(folder / METRICS) if status == "done" else {}
    if status == "done" and not isinstance(metrics.get("tasks"), dict):
        raise UserError(f"{folder / METRICS} is damaged (it holds no tasks); {again(folder)}")
    return Run(
        folder=folder,
        status=status,
        config=config,
        results=results,
        metrics=metrics,
        epochs=read_epochs(folder / "epochs.csv"),
        tasks=tasks_of(folder, config),
    )


def _read_job(folder: Path) -> Run:
    """Read a sweep's job; where its figures are damaged, without them."""
    try:
        run = _read(folder)
        if run.done:
            _ = run.predictions  # damage shows only once they are read
    except UserError as error:
        config = read_settings(folder / CONFIG)
        tasks = tasks_of(folder, config)
        return Run(folder, "damaged", config, {}, {}, None, tasks, problem=str(error))
    return run
