"""Runs that differ in nothing but fold and seed belong together; others are never averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
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
        return ", ".join(parts) or run.folder.name


def setups_of(runs: Sequence[Run]) -> list[Setup]:
    """Sort runs into setups, in the order in which they first appear.

    Two runs of the same settings, fold and seed repeat nothing; each is a setup of its own.
    """
    groups: dict[tuple[str, str, int], list[Run]] = {}
    stores: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: not run.done):  # a finished one knows its store
        asked = repr(sorted(identity(run).items()))
        store = str(run.results.get("store")) if run.done else stores.get(asked, "")
        stores.setdefault(asked, store)
        turn = 0
        while any(_repeat(run) == _repeat(r) for r in groups.get((asked, store, turn), [])):
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


def _order(run: Run) -> tuple[int, int, str]:
    return (-1 if run.fold is None else run.fold, run.seed or 0, run.folder.name)


def _repeat(run: Run) -> tuple[Any, ...]:
    return (run.fold, run.seed, run.settings.get("protocol.seed"))


def _split_seed(run: Run) -> str:
    """Return what else than the fold decides which images are tested.

    Official folds are the same whatever the seed, which draws only the validation part.
    """
    fixed = protocol_name(run) in ("official folds", "levi hassner", "whole set")
    return "" if fixed else str(run.settings.get("protocol.seed"))


def _apart(first: Run, other: Run) -> tuple[str, ...]:
    """Return in words what forbids comparing two runs' figures."""
    reasons = []
    both = first.tasks.keys() & other.tasks.keys()
    if any(first.tasks[name].classes != other.tasks[name].classes for name in both):
        reasons.append("another class list")
    if first.data != other.data:
        reasons.append("another data set")
    elif first.settings.get("data.label_policy") != other.settings.get("data.label_policy"):
        reasons.append("another label policy")
    elif _images(first) != _images(other):
        reasons.append("other pictures in the data set")
    return tuple(reasons)


def _images(run: Run) -> int | None:
    """Return how many images the split has in all, None where that is not known."""
    sizes = run.results.get("images")
    return sum(sizes.values()) if isinstance(sizes, dict) else None
