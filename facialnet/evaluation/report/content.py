"""Everything that a report says, gathered before a word of it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facialnet.errors import UserError
from facialnet.evaluation.report.detail import Detail, detail_of
from facialnet.evaluation.report.gap import GapRow, clean_lines, gap_rows
from facialnet.evaluation.report.jobs import missing_jobs
from facialnet.evaluation.report.measured import Measured, Score, Spread, measured
from facialnet.evaluation.report.notes import (
    Stopped,
    leak_lines,
    left_out,
    notes_of,
    people_line,
    stamp_lines,
    stopped_of,
)
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
from facialnet.evaluation.report.tuning import Tuning, tuning
from facialnet.evaluation.runs import Run

_DETAILED = 8  # setups whose details a page can hold
_BEST = 4  # of more setups, those whose details are shown


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
    """What a report says; every figure is there already.

    ``found`` holds the figures of every setup with a finished run, ``details`` their pictures and
    tables, of the best few alone where there are many; ``which`` then says so.
    """

    title: str
    data: list[str]
    runs: int
    setups: list[Setup]
    found: list[Measured]
    results: list[ResultRow]
    tuning: Tuning | None
    tables: list[RunTable]
    stopped: list[Stopped]
    gap: list[GapRow]
    clean: list[str]
    pairs: Pairs | None
    costs: Costs | None
    details: list[Detail]
    which: str
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
    detailed = _detailed(found)
    trials = tuning(setups, by_setup)
    return Report(
        title=_title(runs),
        data=list(dict.fromkeys(run.data for run in runs if run.done)),
        runs=len(runs),
        setups=setups,
        found=found,
        results=result_rows(found),
        tuning=trials,
        tables=[
            _run_table(setup, by_setup.get(id(setup))) for setup in setups if len(setup.runs) > 1
        ],
        stopped=[each for each in stopped_of(setups) if trials is None or each.status != "pruned"],
        gap=gap_rows(found),
        clean=clean_lines(found),
        pairs=paired(found, required=require_pairs),
        costs=costs(found),
        details=[detail_of(entry) for entry in detailed],
        which=_which(detailed, found),
        notes=[*missing_jobs(runs, sweeps), *notes_of(setups), *repeats, *problems],
        stamps=stamp_lines(setups),
        leaks=leak_lines(setups),
        people=people_line(found),
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
        note=left_out(setup),
    )


def _detailed(found: Sequence[Measured]) -> list[Measured]:
    """Return the setups whose details are shown: of many, the best on the validation images."""
    if len(found) <= _DETAILED:
        return list(found)
    return sorted(found, key=lambda each: -(each.setup.validation or 0.0))[:_BEST]


def _which(detailed: Sequence[Measured], found: Sequence[Measured]) -> str:
    if len(detailed) == len(found):
        return ""
    return (
        f"Details are shown of {len(detailed)} of {len(found)} setups, those of the greatest "
        "validation accuracy; a report on another one alone shows its own"
    )
