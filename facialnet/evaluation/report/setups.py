"""Runs that differ in nothing but fold and seed belong together; others are never averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from facialnet.evaluation.report.naming import identity, labels_of, protocol_name
from facialnet.evaluation.runs import Run
from facialnet.labels import Task


@dataclass(frozen=True)
class Setup:
    """Runs of the same settings, but for fold and seed.

    Attributes:
        label: how it differs from the other setups, or the experiment's name.
        runs: in order of fold and seed; at least one.
        apart: what makes its figures answers to another question than the first setup's: classes,
            data, label policy; empty where nothing.
    """

    label: str
    runs: tuple[Run, ...]
    apart: tuple[str, ...] = ()

    @property
    def done(self) -> list[Run]:
        """Return the runs whose figures may be used."""
        return [run for run in self.runs if run.done]

    @property
    def tasks(self) -> dict[str, Task]:
        """Return its tasks by name."""
        return self.runs[0].tasks

    @property
    def folds(self) -> list[int]:
        """Return the folds of all its runs, without repetition."""
        return sorted({run.fold for run in self.runs if run.fold is not None})

    @property
    def seeds(self) -> list[int]:
        """Return the seeds of all its runs, without repetition."""
        return sorted({run.seed for run in self.runs if run.seed is not None})

    @property
    def validation(self) -> float | None:
        """Return the mean validation accuracy of its finished runs, else of those that left one."""
        known = [run.validation for run in self.done or self.runs]
        scores = [score for score in known if score is not None]
        return sum(scores) / len(scores) if scores else None

    @property
    def fold_count(self) -> int:
        """Return how many folds there should be, or 0 unless several were asked for."""
        if len(self.folds) < 2:
            return 0
        settings = self.runs[0].settings
        if "protocol.folds" in settings:
            return int(settings["protocol.folds"])
        named = str(settings.get("protocol._target_", "")).rpartition(".")[2]
        official = 5 if named in ("OfficialFolds", "LeviHassner") else 0
        return max(official, self.folds[-1] + 1)

    @property
    def missing(self) -> list[int]:
        """Return the folds that a sweep over folds has no run of."""
        return sorted(set(range(self.fold_count)) - set(self.folds))

    @property
    def unfinished_folds(self) -> list[int]:
        """Return the folds that have no finished run, whether missing or stopped."""
        return sorted(set(range(self.fold_count)) - {run.fold for run in self.done})

    @property
    def stamp(self) -> str | None:
        """Return the first stamp among its runs; one leaky run taints the mean."""
        return next((run.stamp for run in self.done if run.stamp), None)

    @property
    def protocol(self) -> str:
        """Return the protocol, with fold and seed only where there is one run."""
        return self.runs[0].protocol if len(self.runs) == 1 else protocol_name(self.runs[0])

    @cached_property
    def overlap(self) -> int:
        """Return how many images are tested by several splits; other seeds of a split are none."""
        if len(self.done) < 2:
            return 0
        keys = [
            run.predictions[["source", "path"]].assign(fold=str(run.fold), split=_split_seed(run))
            for run in self.done
        ]
        tested = pd.concat(keys).drop_duplicates()
        return int(tested.duplicated(["source", "path"]).sum())

    @cached_property
    def pooled(self) -> pd.DataFrame | None:
        """Return the answers of all finished runs together, or None where that would mislead.

        An image stands in it once for each seed, so that its scores are the mean over the seeds,
        not those of an ensemble. Column ``run`` is the position in ``done``. None for a single
        run, and where different splits test the same images.
        """
        if len(self.done) < 2 or self.overlap:
            return None
        tables = [run.predictions.assign(run=number) for number, run in enumerate(self.done)]
        return pd.concat(tables, ignore_index=True)

    @property
    def uneven(self) -> bool:
        """Return whether some fold was finished with more seeds than another."""
        counts = pd.Series([run.fold for run in self.done], dtype="Int64").value_counts()
        return counts.nunique() > 1

    def title_of(self, run: Run) -> str:
        """Name a run among the others of the setup: ``fold 2``, ``fold 2, seed 1``."""
        parts = [f"fold {run.fold}"] if run.fold is not None else []
        if run.seed is not None and (len(self.seeds) > 1 or not parts):
            parts.append(f"seed {run.seed}")
        if len({each.settings.get("protocol.seed") for each in self.runs}) > 1:
            parts.append(f"split seed {run.settings.get('protocol.seed')}")
        return ", ".join(parts) or run.folder.name


def distinct(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Leave out runs that repeat another's settings, split, seed and prepared data.

    A finished one is kept, else the first. Evaluations repeat each other only where they tested
    the same checkpoint. The second value says what was left out.
    """
    kept: dict[tuple[Any, ...], list[Run]] = {}
    notes = []
    for run in sorted(runs, key=lambda run: not run.done):
        asked = (repr(sorted(identity(run).items())), *_repeat(run), run.checkpoint)
        same = [
            other
            for other in kept.setdefault(asked, [])
            if not run.done or run.results.get("store") == other.results.get("store")
        ]
        if same:
            notes.append(
                f"{run.folder} is left out: it repeats settings, split and seed of {same[0].folder}"
            )
        else:
            kept[asked].append(run)
    ids = {id(run) for several in kept.values() for run in several}
    return [run for run in runs if id(run) in ids], notes


def setups_of(runs: Sequence[Run]) -> list[Setup]:
    """Sort runs into setups, in the order in which they first appear.

    Two runs of the same settings, fold and seed repeat nothing; each is a setup of its own. So are
    tests of one network on several folds: their mean is no cross-validation.
    """
    groups: dict[tuple[str, str, int], list[Run]] = {}
    stores: dict[str, str] = {}
    # a finished one knows its store, and evaluations must not take the place of a sweep's own folds
    for run in sorted(runs, key=lambda run: (not run.done, run.checkpoint is not None)):
        asked = repr(sorted(identity(run).items()))
        store = str(run.results.get("store")) if run.done else stores.get(asked, "")
        stores.setdefault(asked, store)
        turn = 0
        while any(_no_mean(run, other) for other in groups.get((asked, store, turn), [])):
            turn += 1
        groups.setdefault((asked, store, turn), []).append(run)
    order = {id(run): number for number, run in enumerate(runs)}
    members = sorted(groups.values(), key=lambda group: min(order[id(run)] for run in group))
    labels = labels_of([group[0] for group in members])
    return [
        Setup(
            label=label,
            runs=tuple(sorted(group, key=_order)),
            apart=_apart(members[0][0], group[0]),
        )
        for label, group in zip(labels, members, strict=True)
    ]


def images_asked(runs: Sequence[Run]) -> int | None:
    """Return how many images the runs' test parts hold, None where all of them were tested."""
    sizes = [(run.results.get("images") or {}).get("test") for run in runs]
    tested = [run.results.get("images_tested") for run in runs]
    asked = sum(size for size in sizes if size is not None)
    if None in sizes or None in tested or sum(each or 0 for each in tested) >= asked:
        return None
    return int(asked)


def _order(run: Run) -> tuple[int, int, str]:
    return (-1 if run.fold is None else run.fold, run.seed or 0, run.folder.name)


def _no_mean(run: Run, other: Run) -> bool:
    """Return whether two runs of the same settings may not stand in one mean."""
    return _repeat(run) == _repeat(other) or _network(run) == _network(other)


def _network(run: Run) -> Path:
    """Return what tells networks apart: the folder of the run that trained it, or its file."""
    if run.checkpoint is None:
        return run.folder.resolve()
    file = Path(run.checkpoint).resolve()
    return file.parent.parent if file.parent.name == "checkpoints" else file


def _repeat(run: Run) -> tuple[Any, ...]:
    return (run.fold, run.seed, run.settings.get("protocol.seed"))


def _split_seed(run: Run) -> str:
    """Return what else than the fold decides which images are tested.

    Official folds are the same whatever the seed, which draws only the validation part.
    """
    fixed = protocol_name(run) in ("official folds", "levi hassner", "partition", "whole set")
    return "" if fixed else str(run.settings.get("protocol.seed"))


def _apart(first: Run, other: Run) -> tuple[str, ...]:
    """Return in words what forbids comparing two runs' figures."""
    reasons = []
    both = first.tasks.keys() & other.tasks.keys()
    if any(first.tasks[name].classes != other.tasks[name].classes for name in both):
        reasons.append("another class list")
    if not (first.done and other.done):
        return tuple(reasons)  # an unfinished one has not said what it tests
    if first.data != other.data:
        reasons.append("another data set")
    elif first.settings.get("data.label_policy") != other.settings.get("data.label_policy"):
        reasons.append("another label policy")
    elif _other_pictures(first, other):
        reasons.append("other pictures in the data set")
    return tuple(reasons)


def _other_pictures(first: Run, other: Run) -> bool:
    """Return whether the prepared data differ though they were prepared in the same way."""
    stores = first.results.get("store"), other.results.get("store")
    ways = [
        {key: value for key, value in run.settings.items() if key.startswith("preprocess.")}
        for run in (first, other)
    ]
    return None not in stores and stores[0] != stores[1] and ways[0] == ways[1]
