"""The runs below a folder, and the report on one of them for the page."""

import html as markup
from pathlib import Path

from facialnet.errors import UserError
from facialnet.evaluation.report.content import gather
from facialnet.evaluation.report.page import html
from facialnet.evaluation.run_files import RESULTS, in_sweep
from facialnet.evaluation.runs import find_runs

_LEVELS = ("*", "*/*", "*/*/*")


def list_runs(root: Path) -> list[str]:
    """Return the runs and sweeps below a folder, newest first, as paths from there."""
    found: dict[str, float] = {}
    for level in _LEVELS:
        for results in root.glob(f"{level}/{RESULTS}"):
            folder, changed = results.parent, results.stat().st_mtime
            for shown in [folder, *([folder.parent] if in_sweep(folder) else [])]:
                name = shown.relative_to(root).as_posix()
                found[name] = max(changed, found.get(name, 0.0))
    return sorted(found, key=lambda name: (-found[name], name))


def run_report(root: Path, name: str) -> str:
    """Return the report on a run or sweep as a frame that runs no script and loads nothing.

    Args:
        root: the folder that holds the runs.
        name: one of ``list_runs``; any other text is refused, so that no path can be asked for.
    """
    if name not in list_runs(root):
        return _note(f"{name}: there is no such run any more; look for runs again")
    folder = root / name
    try:
        runs = find_runs(folder)
        report = html(gather(runs, sweeps=[folder] if len(runs) > 1 else []))
    except UserError as error:
        return _note(str(error).replace(str(root), root.name))
    return (
        f'<iframe class="report" title="report on {markup.escape(name)}" sandbox="" '
        f'srcdoc="{markup.escape(report)}"></iframe>'
    )


def _note(text: str) -> str:
    return f'<p class="problem">{markup.escape(text)}</p>'
