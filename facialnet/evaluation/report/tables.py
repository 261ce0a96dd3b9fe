"""A report's tables as Markdown."""

from collections.abc import Iterable, Sequence

from facialnet.evaluation.report.content import Report, RunTable
from facialnet.evaluation.report.gap import GapRow
from facialnet.evaluation.report.measured import Score
from facialnet.evaluation.report.notes import Stopped
from facialnet.evaluation.report.pairs import COST_NAMES, Costs, Pairs
from facialnet.evaluation.report.text import (
    DASH,
    SCORE_NAMES,
    cost_value,
    count_of,
    difference,
    p_value,
    percent,
    spread,
    tested,
    with_ends,
)
from facialnet.evaluation.report.tuning import Tuning


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; what would break it is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def markdown(report: Report) -> str:
    """Return results, runs, protocols' gap, pairs and cost as Markdown."""
    parts = [f"# {_cell(report.title)}"]
    parts += [f"**{stamp}**" for stamp in report.stamps]
    parts += [f"> {_cell(note)}." for note in report.notes]
    parts.append(_results(report))
    parts.append(f"{report.people}.")
    if report.tuning:
        parts += ["## What the settings do", _trials(report.tuning), *_matter(report.tuning)]
    if report.stopped:
        parts += ["## Without figures", _stopped(report.stopped)]
    for table in report.tables:
        title = f"## Runs: {_cell(table.setup.label)}"
        parts += [title, _runs(table), *([f"{table.note}."] if table.note else [])]
    if report.gap:
        parts += ["## What the split does", gap_table(report.gap)]
        parts += [f"{line[:1].upper()}{line[1:]}." for line in report.clean]
        parts.append(
            "Differences are unpaired: each protocol tests its own images, and an official fold "
            "has people and ages of its own."
        )
    if report.pairs:
        parts += ["## On the same images", _pairs(report.pairs), *report.pairs.notes]
    if report.costs:
        parts += ["## Accuracy and cost", _costs(report.costs)]
        parts.append("\\*: on the Pareto front of accuracy and this cost.")
    return "\n\n".join(parts) + "\n"


def _results(report: Report) -> str:
    head = "setup,task,accuracy (95 %),per person,one-off (95 %),majority class,claim,"
    head += "claim's split,images,people,protocol,stamp"
    rows = [
        [
            row.setup,
            row.task,
            with_ends(row.accuracy),
            percent(row.per_person.value) if row.clustered_on == "people" else DASH,
            with_ends(row.one_off),
            percent(row.majority),
            percent(row.claim),
            row.claim_protocol,
            tested(row.images, row.images_asked),
            f"{row.people:,}" if row.clustered_on == "people" else "not known",
            row.protocol,
            row.stamp or "",
        ]
        for row in report.results
    ]
    return markdown_table(head.split(","), rows)


def _trials(tuning: Tuning) -> str:
    head = [
        *tuning.names.values(),
        "validation",
        *(f"{task}, test (95 %)" for task in tuning.tasks),
    ]
    rows = [
        [
            *tuning.texts(trial),
            percent(trial.validation),
            *(with_ends(trial.test.get(task, Score(None))) for task in tuning.tasks),
            trial.status,
            trial.stamp or "",
        ]
        for trial in tuning.trials
    ]
    return markdown_table([*head, "status", "stamp"], rows)


def _matter(tuning: Tuning) -> list[str]:
    """Return which settings matter, and what to know about it."""
    rows = [[name, percent(share, 0)] for name, share in tuning.importances.items()]
    table = [markdown_table(["setting", "share of the variance"], rows)] if rows else []
    return [*table, " ".join(f"{note}." for note in tuning.notes)]


def _stopped(stopped: Sequence[Stopped]) -> str:
    rows = [[each.label, each.status, percent(each.validation), each.why] for each in stopped]
    return markdown_table(["run", "status", "validation so far", "why"], rows)


def _runs(table: RunTable) -> str:
    keys = [f"{task}/{name}" for task, name in table.columns]
    names = [f"{task} {SCORE_NAMES[name]}" for task, name in table.columns]
    rows = [
        [
            row.title,
            row.status,
            tested(row.images, row.images_asked),
            *(with_ends(row.scores.get(key, Score(None))) for key in keys),
            row.stamp or "",
        ]
        for row in table.rows
    ]
    if table.spreads:
        shown = [table.spreads[key] for key in keys]
        count = next(
            (count_of(each, table.setup) for each in shown if each and each.count == table.most), ""
        )
        cells = [spread(each, table.most) for each in shown]
        rows.append([f"mean ± sd over {count}", "", "", *cells, ""])
    if table.pooled:
        cells = [with_ends(table.pooled[key]) for key in keys]
        rows.append([f"pooled: {table.how}", "", f"{table.images:,}", *cells, ""])
    return markdown_table(["run", "status", "images", *names, "stamp"], rows)


def gap_table(gap: Sequence[GapRow]) -> str:
    """Return protocols against the least leaky one, as of ``gap_rows``."""
    tasks = list(gap[0].accuracy)
    head = ["protocol", "test images that share something with training"]
    head += [text for name in tasks for text in (f"{name} accuracy", "points (95 %)")]
    rows = [
        [
            row.name,
            percent(row.seen),
            *(
                text
                for name in tasks
                for text in (
                    with_ends(row.accuracy[name]),
                    "reference" if row.reference else difference(row.points[name]),
                )
            ),
            row.stamp or "",
        ]
        for row in gap
    ]
    return markdown_table([*head, "stamp"], rows)


def _pairs(pairs: Pairs) -> str:
    head = "task,first,second,first's accuracy,second's accuracy,difference in points (95 %),"
    head += "only first right,only second right,McNemar p (Holm),verdict"
    rows = []
    for record in pairs.records:
        names = [record["task"], record["first"], record["second"]]
        if not record["comparable"]:
            rows.append(
                [*names, DASH, DASH, DASH, DASH, DASH, DASH, f"not comparable: {record['reason']}"]
            )
            continue
        scores = {key: Score.of(record["accuracy"][key]) for key in ("first", "second")}
        rows.append(
            [
                *names,
                percent(scores["first"].value),
                percent(scores["second"].value),
                difference(Score.of(record["accuracy"]["difference"])),
                str(record["only_first"]),
                str(record["only_second"]),
                p_value(record["mcnemar_p_holm"]),
                record["verdict"],
            ]
        )
    return markdown_table(head.split(","), rows)


def _costs(costs: Costs) -> str:
    rows = [
        [
            row["name"],
            row["task"],
            percent(row["accuracy"]),
            *(cost_value(row[cost], cost) + " \\*" * row[f"{cost}_front"] for cost in COST_NAMES),
            row["stamp"],
        ]
        for row in costs.table.to_dict("records")
    ]
    return markdown_table(["setup", "task", "accuracy", *COST_NAMES.values(), "stamp"], rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
