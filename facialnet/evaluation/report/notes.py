"""What a reader must not overlook: stamps, what was compared, what is left out, what is apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from facialnet.evaluation.report.facts import leak_line
from facialnet.evaluation.report.measured import Measured
from facialnet.evaluation.report.setups import Setup

_NAMED = 3  # setups; more are counted
Said = TypeVar("Said", str, tuple[bool, str])


@dataclass(frozen=True)
class Stopped:
    """A setup of one run that has no figures: its status, and why, as far as that is known."""

    label: str
    folder: str
    status: str
    validation: float | None
    why: str


def stopped_of(setups: Sequence[Setup]) -> list[Stopped]:
    """Return the setups whose only run has no figures; those of several runs have a table."""
    return [
        Stopped(setup.label, run.folder.name, run.status, run.validation, run.trouble)
        for setup in setups
        if len(setup.runs) == 1 and not (run := setup.runs[0]).done
    ]


def left_out(setup: Setup) -> str:
    """Say which folds or runs the averages lack."""
    parts = []
    if setup.missing:
        parts.append(f"{_listed('fold', setup.missing)} missing")
    stopped = [run for run in setup.runs if not run.done]
    parts += [f"{setup.title_of(run)}: {run.status}" for run in stopped]
    return f"left out of mean and pooled figures: {'; '.join(parts)}" if parts else ""


def stamp_lines(setups: Sequence[Setup]) -> list[str]:
    """Return every stamp once, with the setups that bear it."""
    found = [(str(run.stamp), setup) for setup in setups for run in setup.done if run.stamp]
    return [_of(bearers, setups, stamp) for stamp, bearers in _gathered(found).items()]


def leak_lines(setups: Sequence[Setup]) -> list[tuple[str, str]]:
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


def notes_of(setups: Sequence[Setup]) -> list[str]:
    """Say what the reader must not overlook."""
    notes = [
        f"{setup.label}: {', '.join(setup.apart)} than {setups[0].label}, so it is shown by "
        "itself and never averaged with it"
        for setup in setups
        if setup.apart
    ]
    stopped: dict[str, list[str]] = {}
    for each in stopped_of(setups):
        stopped.setdefault(each.status, []).append(each.label)
    for status, of in stopped.items():
        which = "; ".join(of) if len(of) <= _NAMED else f"{len(of)} runs"
        notes.append(f"{status}, so without figures: {which}")
    several = [setup for setup in setups if len(setup.runs) > 1]
    notes += [_of([setup.label], setups, text) for setup in several if (text := left_out(setup))]
    return notes


def _listed(noun: str, numbers: Sequence[int]) -> str:
    words = ", ".join(str(number) for number in numbers)
    return f"{noun}s {words}" if len(numbers) > 1 else f"{noun} {words}"


def people_line(found: Sequence[Measured]) -> str:
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
