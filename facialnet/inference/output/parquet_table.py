"""Parquet: a row for each face, written as a whole at the end.

A Parquet file is readable only once it is finished, so answers are gathered as JSON lines beside
it; a stop leaves those, and the next start goes on with them.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facialnet.inference.answers import PhotoAnswer
from facialnet.inference.output.done import Done, row_key
from facialnet.inference.output.json_lines import JsonLines, whole_lines
from facialnet.inference.output.rows import columns_of, rows_of
from facialnet.inference.output.settings import journal_path
from facialnet.labels import Task

_ROWS = 8192  # of a row group, so that memory stays flat
_TYPES = {str: pa.string(), int: pa.int32(), float: pa.float32(), bool: pa.bool_()}


class ParquetTable:
    """Gather answers and write the file when closed; rows of an earlier file are kept.

    Attributes:
        done: the photos whose rows are there already.

    Args:
        path: the file.
        tasks: task name to task, for the columns.
    """

    def __init__(self, path: Path, tasks: Mapping[str, Task]) -> None:
        self._path = path
        self._tasks = tasks
        self._schema = pa.schema(
            [pa.field(name, _TYPES[kind]) for name, kind in columns_of(tasks).items()]
        )
        written = self._written()
        journal = journal_path(path)
        if journal.exists() and len(written) and self._is_in(journal, written):
            journal.unlink()  # a stop came between the last two steps of ``close``
        self._journal = JsonLines(journal)
        self.done = self._journal.done
        for key in self._keys():
            self.done.add(key)

    def write(self, answer: PhotoAnswer) -> None:
        """Add an answer."""
        self._journal.write(answer)

    def flush(self) -> None:
        """Hand everything to the system: a kill then loses none of it."""
        self._journal.flush()

    def close(self) -> None:
        """Write the file."""
        self._journal.close()
        partial = self._path.with_name(f"{self._path.name}.partial")
        try:
            with pq.ParquetWriter(partial, self._schema) as writer:
                for table in chain(self._old_tables(), self._new_tables()):
                    writer.write_table(table)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)
        journal_path(self._path).unlink()

    def _old_tables(self) -> Iterator[pa.Table]:
        if self._path.exists():
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(_ROWS):
                    yield pa.Table.from_batches([batch]).cast(self._schema)

    def _new_tables(self) -> Iterator[pa.Table]:
        rows: list[dict[str, Any]] = []
        for _, content in whole_lines(journal_path(self._path)):
            rows += rows_of(_unicode(content), self._tasks)
            if len(rows) >= _ROWS:
                yield pa.Table.from_pylist(rows, self._schema)
                rows = []
        if rows:
            yield pa.Table.from_pylist(rows, self._schema)

    def _keys(self) -> Iterator[bytes]:
        if self._path.exists():
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(_ROWS, columns=["path", "frame"]):
                    for row in batch.to_pylist():
                        yield row_key(row["path"], row["frame"])

    def _written(self) -> Done:
        done = Done()
        for key in self._keys():
            done.add(key)
        return done

    @staticmethod
    def _is_in(journal: Path, written: Done) -> bool:
        first = next(whole_lines(journal), None)
        return first is not None and row_key(first[1]["path"], first[1].get("frame")) in written


def _unicode(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer with a path that Parquet can hold: bytes that are no Unicode escaped."""
    path = str(content["path"]).encode(errors="backslashreplace").decode()
    return {**content, "path": path}
