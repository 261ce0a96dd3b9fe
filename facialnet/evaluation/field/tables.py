"""The tables of the page on the field."""

import math

from facialnet.evaluation.field.gather import Group
from facialnet.evaluation.field.rivals import Rival, front, rivals_of
from facialnet.evaluation.field.systems import System
from facialnet.evaluation.report.pairs import COST_NAMES
from facialnet.evaluation.report.tables import markdown_table
from facialnet.evaluation.report.text import (
    DASH,
    TIMES,
    WARNING,
    cost_value,
    difference,
    p_value,
    percent,
    with_ends,
)


def accuracy_table(group: Group, task: str, *, shared: str | None) -> str:
    """Return who is how good, the best first, beside the papers' claims.

    ``shared`` is the stamp that all of them bear, if they do: it stands above the table.
    """
    ranked = group.ranked(task)
    ordinal = ranked[0].setup.tasks[task].ordinal
    rows = []
    for system in ranked:
        stamp = system.setup.stamp
        claim = system.run.claim
        claimed = claim.get(task)
        off = claim.get("one_off") if ordinal else None
        remarks = [f"**{stamp}**"] if stamp and stamp != shared else []
        accuracy = with_ends(system.found.score(task, "accuracy"))
        cells = [system.name, f"{WARNING} {accuracy}" if stamp else accuracy]
        if ordinal:
            cells.append(with_ends(system.found.score(task, "one_off")))
        cells += [
            percent(claimed) + (f", one-off {percent(off)}" if off is not None else ""),
            _claimed_on(system) if claimed is not None else DASH,
            system.start,
            "; ".join([*remarks, *system.remarks]),
        ]
        rows.append(cells)
    head = ["system", "accuracy (95 %)", *(["one-off (95 %)"] if ordinal else [])]
    return markdown_table([*head, "claimed", "claimed on", "first weights", "remarks"], rows)


def _claimed_on(system: System) -> str:
    """Say of which data and split a claim is, and where it stands."""
    claim = system.run.claim
    parts = [str(claim.get("data", "")), f"split: {claim.get('protocol') or 'not stated'}"]
    return "; ".join([*parts, str(claim.get("source", ""))])


def cost_table(group: Group) -> str:
    """Return what each system is and what it costs to keep and to run, the smallest first."""
    rows = [
        [
            system.name,
            system.network,
            system.input,
            *(cost_value(system.cost(cost), cost) for cost in ("parameters", "multiply_adds")),
            _megabytes(system),
            cost_value(system.cost("latency_ms"), "latency_ms"),
        ]
        for system in sorted(group.systems, key=_size)
    ]
    head = "system,network,input,parameters,multiply-adds,weights,ms on one CPU thread"
    return markdown_table(head.split(","), rows)


def training_table(group: Group) -> str:
    """Return how long each system was trained, in the order of ``cost_table``."""
    systems = sorted(group.systems, key=_size)
    several = len({system.training.machine for system in systems if system.training}) > 1
    rows = []
    for system in systems:
        if (training := system.training) is None:
            rows.append([system.name, "none: tested only", DASH, DASH, *[DASH] * several])
            continue
        cells = [system.name, training.epochs, training.time, training.speed]
        rows.append([*cells, *[training.machine] * several])
    head = ["system", "epochs", "training time", "images/s", *["machine"] * several]
    return markdown_table(head, rows)


def rivals_table(group: Group, task: str) -> list[str]:
    """Return the reference against every other system; nothing where there is none to compare."""
    reference = group.reference
    if reference is None or task not in reference.tasks:
        return []
    rivals = rivals_of(reference, group.systems, task)
    if not rivals:
        return []
    name = reference.name
    head = "against,its accuracy,difference in points (95 %),p (Holm),better,its parameters,"
    head += "its multiply-adds"
    rows = [_rival_row(rival, name) for rival in rivals]
    won, lost = (sum(each.better == side for each in rivals) for side in ("reference", "other"))
    same = sum(each.accuracy is not None for each in rivals) - won - lost
    return [
        f"**{name} against the others** on the same images: better than {won}, worse than {lost}, "
        f"no difference shown to {same}. The difference is {name} minus the other; its interval "
        "gives the verdict and is not corrected for the number of comparisons, McNemar's p is. "
        f"Costs are multiples of those of {name}.",
        markdown_table(head.split(","), rows),
    ]


def _rival_row(rival: Rival, name: str) -> list[str]:
    ratios = [_times(rival.ratios.get(cost)) for cost in ("parameters", "multiply_adds")]
    other = f"{WARNING} {rival.name}" if rival.stamp else rival.name
    if rival.accuracy is None:
        return [other, DASH, DASH, DASH, f"not comparable: {rival.reason}", *ratios]
    verdict = {"reference": name, "other": rival.name}.get(rival.better, "no difference shown")
    return [
        other,
        percent(rival.accuracy),
        difference(rival.difference),
        DASH if rival.p_value is None else p_value(rival.p_value),
        verdict,
        *ratios,
    ]


def fronts(group: Group, task: str) -> list[str]:
    """Return who is on the Pareto front of accuracy and each cost, in a line each."""
    if len(group.ranked(task)) < 2:
        return []
    found = {words: front(group.systems, task, cost) for cost, words in COST_NAMES.items()}
    lines = [
        f"- accuracy and {words}: {', '.join(system.name for system in systems)}"
        for words, systems in found.items()
        if systems
    ]
    stamps = [system.setup.stamp for system in group.ranked(task)]
    beside = f", figures marked {WARNING} left out" if any(stamps) and not all(stamps) else ""
    about = f"On the Pareto front, where nobody else is both cheaper and better{beside}:"
    return [about, "\n".join(lines)]


def _size(system: System) -> tuple[bool, float, str]:
    parameters = system.cost("parameters")
    return (math.isnan(parameters), parameters, system.name)


def _times(ratio: float | None) -> str:
    """Write a ratio of costs: 12 times, 0.15 times."""
    if ratio is None:
        return DASH
    return f"{TIMES} {ratio:,.0f}" if ratio >= 10 else f"{TIMES} {ratio:.2g}"


def _megabytes(system: System) -> str:
    value = system.cost("weights_mb")
    return f"{value:,.1f} MB" if math.isfinite(value) else DASH
