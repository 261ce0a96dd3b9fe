"""The page on the field, in Markdown."""

import re
from collections.abc import Mapping

from facialnet.evaluation.field.gather import Field, Group
from facialnet.evaluation.field.systems import System, name_of
from facialnet.evaluation.field.tables import (
    accuracy_table,
    cost_table,
    fronts,
    rivals_table,
    training_table,
)
from facialnet.evaluation.report.notes import people_line
from facialnet.evaluation.report.tables import gap_table
from facialnet.evaluation.report.text import WARNING

_ABOUT = (
    "Every table holds systems on one footing: the same images, labels and split. **Claimed** is "
    "what the system's paper reports on its own data and split: another measurement than ours, "
    "beside it to be seen together. {people}. Where a system has several variants, the one that is "
    "set against the others is chosen by its validation accuracy. {mark} marks figures of a test "
    "that shares something with training."
)
_ABOUT_GAPS = (
    "The same network and recipe under several protocols. Points are percentage points above the "
    "least leaky one; the difference is unpaired, because each protocol tests its own images."
)


def page(field: Field, *, command: str, pictures: Mapping[tuple[int, str], str]) -> str:
    """Return the page.

    Args:
        field: what it says.
        command: what made it, as typed.
        pictures: address of the picture of each group, by its number, and task, as far as there is
            one.
    """
    found = [system.found for group in field.groups for system in group.systems]
    parts = [
        f"<!-- Made by `{command}`. Do not edit: run it again. -->",
        "# Results",
        _origin(field, command),
        _ABOUT.format(people=people_line(found), mark=WARNING),
        *([_contents(field)] if len(field.groups) > 1 else []),
    ]
    for number, group in enumerate(field.groups):
        parts += _group(group, {t: at for (n, t), at in pictures.items() if n == number})
    if field.gaps:
        parts += ["## What the split does", _ABOUT_GAPS]
        parts += [part for title, rows in field.gaps for part in (f"### {title}", gap_table(rows))]
    if field.notes:
        parts += ["## Left out", "\n".join(f"- {note}" for note in field.notes)]
    return "\n\n".join(parts) + "\n"


def _origin(field: Field, command: str) -> str:
    """Say how the page came about."""
    facts = [
        ("revision", field.revisions),
        ("machine", field.machines or {"not recorded": 0}),
        ("versions", field.versions),
    ]
    lines = [f"Generated from run folders by `{command}`; do not edit.", ""]
    lines += [f"- {name}: {_counted(said)}" for name, said in facts if said]
    return "\n".join(lines)


def _counted(said: Mapping[str, int]) -> str:
    """List what runs say; where they differ, how many say each."""
    if len(said) == 1:
        return next(iter(said))
    return "; ".join(f"{what} ({count} run{'s' * (count != 1)})" for what, count in said.items())


def _contents(field: Field) -> str:
    titles = [group.footing.title for group in field.groups]
    titles += ["What the split does"] if field.gaps else []
    return "\n".join(f"- [{title}](#{_anchor(title)})" for title in titles)


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _group(group: Group, pictures: Mapping[str, str]) -> list[str]:
    parts = [f"## {group.footing.title}", _facts(group)]
    stamps = {system.setup.stamp for system in group.systems}
    shared = stamps.pop() if len(stamps) == 1 else None
    if shared:
        parts.append(f"**{WARNING} {shared}**")
    for task in group.tasks:
        parts += [f"### {_name(task)}", accuracy_table(group, task, shared=shared)]
        parts.append(_majority(group.ranked(task), task))
        if task in pictures:
            parts.append(f"![{task}: accuracy against multiply-adds]({pictures[task]})")
        parts += fronts(group, task)
        parts += rivals_table(group, task)
    if group.systems:
        parts += ["### Cost", cost_table(group), training_table(group)]
    if stopped := [run for run in group.footing.runs if not run.done]:
        lines = [f"- {name_of(run)} (`{run.folder.name}`): {run.status}" for run in stopped]
        parts += ["Not in the tables, because they did not come to their end:", "\n".join(lines)]
    return [part for part in parts if part]


def _name(task: str) -> str:
    return task[:1].upper() + task[1:]


def _facts(group: Group) -> str:
    """Say on what the systems were trained and tested."""
    if not group.systems:
        return "No run is finished."
    run = group.systems[0].run
    sizes = run.results.get("images") or {}
    known = [f"{size:,} {part}" for part, size in sizes.items() if size is not None]
    policy = run.settings.get("data.label_policy")
    facts = [
        f"images: {', '.join(known)}" if known else "",
        f"label policy {policy}" if policy else "",
        f"licence of the data: {licence}" if (licence := run.results.get("licence")) else "",
    ]
    text = "; ".join(fact for fact in facts if fact)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _majority(systems: list[System], task: str) -> str:
    value = next((m for each in systems if (m := each.run.majority(task)) is not None), None)
    if value is None:
        return ""
    return f"Always answering the class that is most frequent in training: {100 * value:.1f} %."
