"""The files of a report, written whole or not at all."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from facialnet.errors import UserError, gist
from facialnet.evaluation.report.card import model_card
from facialnet.evaluation.report.content import Report
from facialnet.evaluation.report.page import html
from facialnet.evaluation.report.rows import results_csv
from facialnet.evaluation.report.tables import markdown


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html, results.md, results.csv and model_card.md; return their paths.

    Files of an earlier report are replaced, each in one step, once all are written. Raises
    UserError where the folder cannot be written.
    """
    contents = {
        "report.html": html(report),
        "results.md": markdown(report),
        "results.csv": results_csv(report),
        "model_card.md": model_card(report),
    }
    return write_files(contents, folder)


def write_files(contents: Mapping[str, str], folder: Path) -> list[Path]:
    """Write texts by the names of their files, all or none; return their paths.

    Files of these names are replaced, each in one step. Raises UserError where the folder cannot be
    written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
        try:
            for name, content in contents.items():
                (aside / name).write_text(content, encoding="utf-8")
            for name in contents:
                (aside / name).replace(folder / name)
        finally:
            shutil.rmtree(aside)
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be written ({gist(error)})") from None
    return [folder / name for name in contents]
