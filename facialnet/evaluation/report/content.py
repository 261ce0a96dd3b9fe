"""Everything that a report says, gathered before a word of it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from facialnet.errors import UserError
from facialnet.evaluation.report.detail import Detail, detail_of
from facialnet.evaluation.report.facts import leak_line
from facialnet.evaluation.report.gap import GapRow, clean_lines, gap_rows
from facialnet.evaluation.report.jobs import missing_jobs
from facialnet.evaluation.report.measured import Measured, Score, Spread, measured
from facialnet.evaluation.report.overview import (
    ResultRow,
    RunRow,
    result_rows,
    run_rows,
    score_columns,
    spreads,
)
from facialnet.evaluation.report.pairs import Costs, Pairs, costs, paired
from facialnet.evaluation.report.setups import Setup, distinct, setups_of
from facialnet.evaluation.runs import Run

Said = TypeVar("Said", str, tuple[bool, str])


@dataclass(frozen=True)
class RunTable:
    """The jobs of one setup, their mean, and their answers together."""

    setup: Setup
    columns: list[tuple[str, str]]
    rows: list[RunRow]
    spreads: dict[str, Spread | None]
    pooled: dict[str, Score] | None
    images: int
    how: str
    note: str

    @property
    def most(self) -> int:
        """Return over how many folds or seeds the means are, where no score is missing."""
        return max((each.count for each in self.spreads.values() if each), default=0)


@dataclass(frozen=True)
class Report:
    """What a report says; every figure is there already."""

    title: str
    data: list[str]
    runs: int
    setups: list[Setup]
    results: list[ResultRow]
    tables: list[RunTable]
    gap: list[GapRow]
    clean: list[str]
    pairs: Pairs | None
    costs: Costs | None
    details: list[Detail]
    notes: list[str]
    stamps: list[str]
    leaks: list[tuple[str, str]]
    people: str

    @property
    def single(self) -> bool:
        """Return whether it is about one run only."""
        return self.runs == 1


def gather(
    runs: Sequence[Run], *, sweeps: Iterable[Path] = (), require_pairs: bool = False
) -> Report:
    """Gather a report on runs.

    ``sweeps`` are the folders of sweeps asked for as a whole, whose missing jobs are named.

    Raises UserError where no run is finished, where a file is damaged, and, with
    ``require_pairs``, where two setups cannot be compared image by image.
    """
    problems = [run.problem for run in runs if run.problem]
    if not any(run.done for run in runs) and problems:
        raise UserError(f"no run in here is finished and whole: {problems[0]}")
    if not any(run.done for run in runs):
        states = ", ".join(sorted({run.status for run in runs}))
        raise UserError(
            f"no run in here is finished ({states}): start the same command again, finished jobs "
            "are passed over"
        )
    runs, repeats = distinct(runs)
    setups = setups_of(runs)
    found = [entry for setup in setups if (entry := measured(setup)) is not None]
    by_setup = {id(entry.setup): entry for entry in found}
    return Report(
        title=_title(runs),
        data=list(dict.fromkeys(run.data for run in runs if run.done)),
        runs=len(runs),
        setups=setups,
        results=result_rows(found),
        tables=[
            _run_table(setup, by_setup.get(id(setup)))
            for setup in setups
            if len(setup.runs) > len(setup.done) or len(setup.runs) > 1
        ],
        gap=gap_rows(found),
        clean=clean_lines(found),
        pairs=paired(found, required=require_pairs),
        costs=costs(found),
        details=[detail_of(entry) for entry in found],
        notes=[*missing_jobs(runs, sweeps), *_notes(setups), *repeats, *problems],
        stamps=_stamps(setups),
        leaks=_leaks(setups),
        people=_people(found),
    )


def _title(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(run.name for run in runs))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _run_table(setup: Setup, found: Measured | None) -> RunTable:
    pooled = None
    if found is not None and found.pooled:
        pooled = {f"{task}/{name}": found.score(task, name) for task, name in score_columns(setup)}
    return RunTable(
        setup=setup,
        columns=score_columns(setup),
        rows=run_rows(setup),
        spreads=spreads(setup) if len(setup.done) > 1 else {},
        pooled=pooled,
        images=0 if found is None else found.images,
        how="" if found is None else found.how,
        note=_left_out(setup),
    )


def _left_out(setup: Setup) -> str:
    """Say which folds or runs the averages lack."""
    parts = []
    if setup.missing:
        parts.append(f"{_listed('fold', setup.missing)} missing")
    stopped = [run for run in setup.runs if not run.done]
    parts += [f"{setup.title_of(run)}: {run.status}" for run in stopped]
    return f"left out of mean and pooled figures: {'; '.join(parts)}" if parts else ""


def _stamps(setups: Sequence[Setup]) -> list[str]:
    """Return every stamp once, with the setups that bear it."""
    found = [(str(run.stamp), setup) for setup in setups for run in setup.done if run.stamp]
    return [_of(bearers, setups, stamp) for stamp, bearers in _gathered(found).items()]


def _leaks(setups: Sequence[Setup]) -> list[tuple[str, str]]:
    """Return what is known of the runs without a stamp, as (good or warn, line)."""
    found = [(leak_line(run), setup) for setup in setups for run in setup.done if run.stamp is None]
    return [
        ("good" if sure else "warn", _of(bearers, setups, line))
        for (sure, line), bearers in _gathered(found).items()
    ]


def _gathered(found: Iterable[tuple[Said, Setup]]) -> dict[Said, list[str]]:
    """Return what is said, once each, with the labels of the setups that it is said of."""
    labels: dict[Said, list[str]] = {}
    for said, setup in found:
        of = labels.setdefault(said, [])
        if setup.label not in of:
            of.append(setup.label)
    return labels


def _of(labels: Sequence[str], setups: Sequence[Setup], line: str) -> str:
    """Say of which setups a line is true, unless it is all of them."""
    if len(setups) == 1 or len(labels) == sum(bool(setup.done) for setup in setups) > 1:
        return f"{line[:1].upper()}{line[1:]}"
    return f"{'; '.join(labels)}: {line}"


def _notes(setups: Sequence[Setup]) -> list[str]:
    """Say what the reader must not overlook."""
    notes = [
        f"{setup.label}: {', '.join(setup.apart)} than {setups[0].label}, so it is shown by "
        "itself and never averaged with it"
        for setup in setups
        if setup.apart
    ]
    notes += [_of([setup.label], setups, text) for setup in setups if (text := _left_out(setup))]
    return notes


def _listed(noun: str, numbers: Sequence[int]) -> str:
    words = ", ".join(str(number) for number in numbers)
    return f"{noun}s {words}" if len(numbers) > 1 else f"{noun} {words}"


def _people(found: Sequence[Measured]) -> str:
    """Say what the intervals take as independent."""
    units = {
        entry["clustered_on"]
        for each in found
        for entry in each.metrics["tasks"].values()
        if entry["images"]
    }
    if units == {"people"}:
        return "95 % intervals, clustered on people"
    if "people" in units:
        return "95 % intervals, clustered on people where they are known"
    if "photos" in units:
        return "95 % intervals, clustered on photos: the data set knows no people"
    return "95 % intervals take images as independent: the data set knows no people"
