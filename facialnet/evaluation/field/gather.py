"""All that the page on the field says, gathered from runs."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facialnet.errors import UserError
from facialnet.evaluation.field.footing import Footing, footings
from facialnet.evaluation.field.rivals import reference_of
from facialnet.evaluation.field.systems import System, machine_of, systems_of
from facialnet.evaluation.report.gap import GapRow, gap_rows
from facialnet.evaluation.report.measured import measured
from facialnet.evaluation.report.naming import identity
from facialnet.evaluation.report.setups import Setup, distinct, setups_of
from facialnet.evaluation.runs import Run


@dataclass(frozen=True)
class Group:
    """One footing with its systems, and the one that the others are set against."""

    footing: Footing
    systems: list[System]
    reference: System | None

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that a system has figures of."""
        return list(dict.fromkeys(task for system in self.systems for task in system.tasks))

    def ranked(self, task: str) -> list[System]:
        """Return the systems that were asked a task, the best first; ties by name."""
        asked = [system for system in self.systems if task in system.tasks]
        return sorted(asked, key=lambda system: (-system.accuracy(task), system.name))


@dataclass(frozen=True)
class Field:
    """What the page says.

    Attributes:
        groups: in the order in which their runs were named.
        gaps: title and rows of each system that was run under several protocols.
        notes: runs that are left out.
        revisions: what the runs say of their code, machine and versions, each with how many of
            them say so.
        machines: as revisions.
        versions: as revisions.
    """

    groups: list[Group]
    gaps: list[tuple[str, list[GapRow]]]
    notes: list[str]
    revisions: dict[str, int]
    machines: dict[str, int]
    versions: dict[str, int]


def gather_field(runs: Sequence[Run], against: str) -> Field:
    """Gather the page; ``against`` names the system that the others are set against.

    Raises UserError where no run is finished, or a file is damaged.
    """
    runs, notes = distinct(runs)
    done = [run for run in runs if run.done]
    if not done:
        states = ", ".join(sorted({run.status for run in runs}))
        raise UserError(f"no run in here is finished ({states}): nothing to put into a table")
    groups = []
    for footing in footings(runs):
        systems = systems_of(footing)
        groups.append(Group(footing, systems, reference_of(systems, against)))
    return Field(
        groups=groups,
        gaps=_gaps(done),
        notes=[*notes, *(run.problem for run in runs if run.problem)],
        revisions=_said(done, lambda run: _short(str(run.results.get("git_revision") or ""))),
        machines=_said(done, machine_of),
        versions=_said(done, _versions),
    )


def _gaps(runs: Sequence[Run]) -> list[tuple[str, list[GapRow]]]:
    """Return the rows of every system that was run alike but for the protocol."""
    families: dict[str, list[Setup]] = {}
    for setup in setups_of(runs):
        asked = identity(setup.runs[0]).items()
        beside = sorted(item for item in asked if not item[0].startswith("protocol."))
        families.setdefault(repr(beside), []).append(setup)
    found = []
    for setups in families.values():
        again = setups_of([run for setup in setups for run in setup.runs])  # labels of these alone
        rows = gap_rows([figures for setup in again if (figures := measured(setup)) is not None])
        if rows:
            found.append((setups[0].done[0], rows))
    return [(f"{run.system or run.name} on {run.data}", rows) for run, rows in found]


def _said(runs: Sequence[Run], of: Callable[[Run], str]) -> dict[str, int]:
    """Return what runs say of something and how many of them do, the most frequent first."""
    counts = Counter(said for run in runs if (said := of(run)))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _short(revision: str) -> str:
    return revision[:12] + "+" * revision.endswith("+")


def _versions(run: Run) -> str:
    packages = run.results.get("packages") or {}
    shown = [f"{name} {packages[name]}" for name in ("facialnet", "torch") if name in packages]
    return ", ".join(shown)
