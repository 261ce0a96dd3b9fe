"""JSON lines: one object for each photo."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from facialnet.errors import UserError
from facialnet.inference.answers import PhotoAnswer
from facialnet.inference.output.append import open_alone
from facialnet.inference.output.done import Done, row_key


class JsonLines:
    """Append answers to a file, going on after its last whole line, or write them to the terminal.

    Attributes:
        done: the photos whose answers are in the file already.

    Args:
        path: the file; None: standard output.
    """

    def __init__(self, path: Path | None) -> None:
        self.done = Done()
        self._file: IO[bytes] = sys.stdout.buffer
        self._owned = path is not None
        if path is not None:
            self._file = open_alone(path)
            self._file.truncate(self._read(path))

    def write(self, answer: PhotoAnswer) -> None:
        """Add an answer."""
        self._file.write(encoded(answer.plain()))

    def flush(self) -> None:
        """Hand everything to the system: a kill then loses none of it."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self.flush()
        if self._owned:
            self._file.close()

    def _read(self, path: Path) -> int:
        """Fill ``done``; return where the last whole line ends."""
        last = 0
        for end, content in whole_lines(path):
            self.done.add(row_key(content["path"], content.get("frame")))
            last = end
        return last


def whole_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield where each whole line ends and its object; a line that was cut off is the end.

    Raises UserError for a whole line that is no answer.
    """
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            end += len(line)
            try:
                content = json.loads(line)
                content["path"], content["faces"]
            except (ValueError, TypeError, KeyError):
                raise UserError(
                    f"{path}, line {number}: not a line of predictions; --restart begins anew"
                ) from None
            yield end, content


def encoded(content: Mapping[str, Any]) -> bytes:
    """Return a line; names that are no Unicode are escaped as Python does it."""
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content).encode() + b"\n"
