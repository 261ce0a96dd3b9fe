"""Compare systems on one page: `python -m facialnet.results RUN_OR_SWEEP --out docs/results.md`."""

import argparse
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from facialnet.command import run_command
from facialnet.errors import UserError
from facialnet.evaluation.field.gather import Field, gather_field
from facialnet.evaluation.field.page import page
from facialnet.evaluation.field.pictures import cost_picture, slug
from facialnet.evaluation.report.files import write_files
from facialnet.evaluation.runs import find_runs

_ABOUT = """Read the folders that runs left and write one page in Markdown: systems on one footing,
their papers' claims beside our figures, one system against every other on the same images, costs,
and pictures in images/ beside the page. The same folders give the same page."""
_EXAMPLES = """examples:
  python -m facialnet.results outputs/compare_utkface/systems --out docs/results.md
  python -m facialnet.results RUN OTHER_RUN --against lfw_cnn --out results.md"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page and say where it lies."""
    given = _parser().parse_args(arguments)
    out = Path(given.out)
    if out.suffix != ".md":
        raise UserError(f"--out {out}: expected a file that ends in .md, such as docs/results.md")
    folders = [Path(_from_here(folder)) for folder in dict.fromkeys(given.folders)]
    runs = {run.folder.resolve(): run for folder in folders for run in find_runs(folder)}
    field = gather_field(list(runs.values()), given.against)
    pictures = _pictures(field, out)
    addresses = {key: f"images/{name}" for key, (name, _) in pictures.items()}
    text = page(field, command=_command(given), pictures=addresses)
    paths = write_files(dict(pictures.values()), out.parent / "images") if pictures else []
    paths += write_files({out.name: text}, out.parent)
    console = Console(soft_wrap=True, highlight=False)
    for group in field.groups:
        count = len(group.systems)
        console.print(f"{group.footing.title}: {count} system{'s' * (count != 1)}", markup=False)
    for note in field.notes:
        console.print(f"note: {note}", markup=False)
    for path in paths:
        console.print(str(path.absolute()), markup=False)


def _pictures(field: Field, out: Path) -> dict[tuple[int, str], tuple[str, str]]:
    """Return name and content of each group's and task's picture, as far as there is one."""
    found = {}
    for number, group in enumerate(field.groups):
        for task in group.tasks:
            if (picture := cost_picture(group, task)) is not None:
                name = f"{slug(f'{out.stem} {group.footing.title} {task}')}.svg"
                found[number, task] = (name, picture)
    return found


def _command(given: argparse.Namespace) -> str:
    """Return the command that makes the page again, with paths as seen from here."""
    words = ["python", "-m", "facialnet.results", *(_from_here(each) for each in given.folders)]
    words += ["--against", given.against] if given.against != _AGAINST else []
    return shlex.join([*words, "--out", _from_here(given.out)])


def _from_here(path: str) -> str:
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


_AGAINST = "facialnet"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m facialnet.results",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="+", metavar="RUN_OR_SWEEP", help="a run's folder, or that of a sweep"
    )
    parser.add_argument("--out", metavar="FILE", required=True, help="the page, such as results.md")
    parser.add_argument(
        "--against",
        metavar="SYSTEM",
        default=_AGAINST,
        help="whom the others are set against, the best variant on validation; default: facialnet",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
