"""CSV: a row for each face."""

import csv
import io
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from facialnet.errors import UserError
from facialnet.inference.answers import PhotoAnswer
from facialnet.inference.output.append import open_alone
from facialnet.inference.output.done import Done, row_key
from facialnet.inference.output.rows import columns_of, rows_of
from facialnet.labels import Task

_ENCODING = {"encoding": "utf-8", "errors": "surrogateescape"}


class CsvTable:
    """Append rows to a file, going on before the photo that was written last, or to the terminal.

    The last photo's rows may not be all of them: they are cut off and the photo is answered again.

    Attributes:
        done: the photos whose rows are in the file already.

    Args:
        path: the file; None: standard output.
        tasks: task name to task, for the columns.
    """

    def __init__(self, path: Path | None, tasks: Mapping[str, Task]) -> None:
        self.done = Done()
        self._tasks = tasks
        self._columns = list(columns_of(tasks))
        self._owned = path is not None
        self._file: IO[bytes] = sys.stdout.buffer
        end = 0
        if path is not None:
            self._file = open_alone(path)
            end = self._read(path)
            self._file.truncate(end)
        if end == 0:
            self._write([dict(zip(self._columns, self._columns, strict=True))])

    def write(self, answer: PhotoAnswer) -> None:
        """Add the rows of an answer."""
        self._write(list(rows_of(answer.plain(), self._tasks)))

    def flush(self) -> None:
        """Hand everything to the system: a kill then loses none of it."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        if self._owned:
            self._file.close()

    def _write(self, rows: list[dict[str, object]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([row[name] for name in self._columns] for row in rows)
        self._file.write(text.getvalue().encode(**_ENCODING))

    def _read(self, path: Path) -> int:
        """Fill ``done``; return where the rows of the last photo begin."""
        begins, last = 0, None
        for begin, row in _records(path):
            if begin == 0:
                if row != self._columns:
                    raise UserError(f"{path} has other columns; --restart begins anew")
                continue
            if len(row) != len(self._columns):
                break  # cut off
            values = dict(zip(self._columns, row, strict=True))
            key = row_key(values["path"], int(values["frame"]) if values["frame"] else None)
            if key != last:
                if last is not None:
                    self.done.add(last)
                begins, last = begin, key
        return begins or self._header_end(path)

    def _header_end(self, path: Path) -> int:
        """Return where the header ends, which may be all that is there; 0 where it is cut off."""
        with path.open("rb") as file:
            line = file.readline()
        return len(line) if line.endswith(b"\n") else 0


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield where each record begins and its values; values may hold line breaks."""
    position = 0

    def lines() -> Iterator[str]:
        nonlocal position
        with path.open("rb") as file:
            for line in file:
                position += len(line)
                yield line.decode(**_ENCODING)

    reader = csv.reader(lines())
    while True:
        begin = position
        row = next(reader, None)
        if row is None:
            return
        if begin == 0 and position and not _ends(path, position):
            return  # a header that was cut off
        yield begin, row


def _ends(path: Path, position: int) -> bool:
    with path.open("rb") as file:
        file.seek(position - 1)
        return file.read(1) == b"\n"
