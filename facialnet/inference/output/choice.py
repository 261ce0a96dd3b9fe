"""Which kind of output is meant, opened so that it goes on where it stopped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from facialnet.errors import UserError
from facialnet.inference.answers import PhotoAnswer
from facialnet.inference.output.csv_table import CsvTable
from facialnet.inference.output.done import Done
from facialnet.inference.output.json_lines import JsonLines
from facialnet.inference.output.parquet_table import ParquetTable
from facialnet.inference.output.settings import begin
from facialnet.inference.output.terminal import TerminalTable
from facialnet.labels import Task

FORMATS = ("table", "jsonl", "csv", "parquet")


class Output(Protocol):
    """Where answers go.

    Attributes:
        done: the photos that are there already.
    """

    done: Done

    def write(self, answer: PhotoAnswer) -> None:
        """Add an answer."""
        ...

    def flush(self) -> None:
        """Hand everything to the system."""
        ...

    def close(self) -> None:
        """Leave a valid file."""
        ...


def format_of(name: str | None, path: Path | None) -> str:
    """Return the format: the one that is named, else that of the file's ending, else a table.

    Raises UserError for a combination that cannot be.
    """
    if name is None and path is not None:
        name = path.suffix.lower().removeprefix(".")
        if name not in FORMATS[1:]:
            raise UserError(
                f"--output {path}: say the format by the ending .jsonl, .csv or .parquet, or by "
                "--format"
            )
    name = name or "table"
    if name == "table" and path is not None:
        raise UserError("--format table is for the terminal; --output takes jsonl, csv or parquet")
    if name == "parquet" and path is None:
        raise UserError("--format parquet needs --output FILE")
    return name


def open_output(
    kind: str,
    path: Path | None,
    tasks: Mapping[str, Task],
    *,
    settings: Mapping[str, Any],
    restart: bool = False,
) -> Output:
    """Open an output; a file that is there is gone on with.

    Args:
        kind: one of FORMATS.
        path: the file, None for the terminal.
        tasks: task name to task.
        settings: plain: all that the rows depend on, beside the photos.
        restart: whether a file that is there is written anew.

    Raises UserError where the file was begun with other settings, or is none of ours.
    """
    if path is not None:
        begin(path, settings, restart=restart)
    if kind == "parquet" and path is not None:
        return ParquetTable(path, tasks)
    if kind == "csv":
        return CsvTable(path, tasks)
    if kind == "jsonl":
        return JsonLines(path)
    return TerminalTable()
