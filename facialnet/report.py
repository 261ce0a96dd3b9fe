"""Report on runs: `python -m facialnet.report RUN_OR_SWEEP`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from facialnet.command import run_command
from facialnet.evaluation.report.content import Report, gather
from facialnet.evaluation.report.files import write_report
from facialnet.evaluation.report.text import percent, with_ends
from facialnet.evaluation.runs import find_runs

_ABOUT = """Read the folders that runs left and write a report on them: report.html (one file, opens
without a network), results.md, results.csv and model_card.md. Folds and seeds of one setup are
averaged and pooled; setups that tested the same images are compared in pairs."""
_EXAMPLES = """examples:
  python -m facialnet.report outputs/adience_aug/2026-01-31_12-00-00
  python -m facialnet.report outputs/adience_aug/folds
  python -m facialnet.report RUN OTHER_RUN --paired --out comparison"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the report and say where it lies."""
    given = _parser().parse_args(arguments)
    folders = [Path(folder) for folder in dict.fromkeys(given.folders)]
    runs = {run.folder.resolve(): run for folder in folders for run in find_runs(folder)}
    sweeps = dict.fromkeys(run.folder.parent for run in runs.values() if run.folder not in folders)
    report = gather(list(runs.values()), sweeps=sweeps, require_pairs=given.paired)
    out = Path(given.out) if given.out else folders[0] / "report"
    paths = write_report(report, out)
    console = Console(soft_wrap=True, highlight=False)
    console.print(_summary(report), soft_wrap=False)
    for stamp in report.stamps:
        console.print(stamp, style="bold red", markup=False)
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    for path in paths:
        console.print(str(path.absolute()), markup=False)
    console.print(f"next: python -m webbrowser {paths[0].absolute().as_uri()}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facialnet.report",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="+", metavar="RUN_OR_SWEEP", help="a run's folder, or that of a sweep"
    )
    parser.add_argument("--out", metavar="FOLDER", help="where to write; default: FIRST/report")
    parser.add_argument(
        "--paired",
        action="store_true",
        help="stop with an error where two setups did not test the same images",
    )
    return parser


def _summary(report: Report) -> Table:
    table = Table(title=report.title, title_justify="left")
    several = len(report.setups) > 1
    table.add_column("setup" if several else "protocol", overflow="fold")
    table.add_column("task")
    for name in ("accuracy (95 %)", "one-off", "claimed", "images"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.results:
        table.add_row(
            row.setup if several else row.protocol,
            row.task,
            with_ends(row.accuracy),
            percent(row.one_off.value),
            percent(row.claim),
            f"{row.images:,}",
        )
    return table


if __name__ == "__main__":
    run_command(main)
