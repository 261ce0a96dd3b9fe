"""A table in the terminal, line by line, so that it can go on for ever."""

import sys

from facialnet.inference.answers import FaceAnswer, PhotoAnswer
from facialnet.inference.output.done import Done

_PATH_WIDTH, _BOX_WIDTH, _TASK_WIDTH = 36, 20, 24


class TerminalTable:
    """Print a line for each face.

    Attributes:
        done: nothing: a terminal is not gone on with.
    """

    def __init__(self) -> None:
        self.done = Done()
        self._headed = False

    def write(self, answer: PhotoAnswer) -> None:
        """Print an answer."""
        path = answer.path if answer.frame is None else f"{answer.path} {answer.time or 0.0:.2f} s"
        shown = _left(path, _PATH_WIDTH)
        if answer.error is not None:
            self._print(f"{shown}  cannot be read: {answer.error}")
        elif not answer.faces:
            self._print(f"{shown}  no face found")
        for face in answer.faces:
            if not self._headed:
                self._head(face)
            self._print(f"{shown}  {_box(answer, face):<{_BOX_WIDTH}}{_tasks(face)}".rstrip())

    def flush(self) -> None:
        """Show what was printed."""
        sys.stdout.flush()

    def close(self) -> None:
        """Show what was printed."""
        self.flush()

    def _head(self, face: FaceAnswer) -> None:
        names = "".join(f"{name:<{_TASK_WIDTH}}" for name in face.answers)
        self._print(f"{'photo':<{_PATH_WIDTH}}  {'box':<{_BOX_WIDTH}}{names}".rstrip())
        self._headed = True

    @staticmethod
    def _print(line: str) -> None:
        safe = line.encode(errors="backslashreplace").decode()
        print("".join(each if each.isprintable() else "?" for each in safe))


def _box(answer: PhotoAnswer, face: FaceAnswer) -> str:
    if answer.no_face is not None:
        return "no face: whole"
    return " ".join(f"{round(value)}" for value in face.box)


def _tasks(face: FaceAnswer) -> str:
    words = []
    for answer in face.answers.values():
        text = answer.text()
        if answer.expected_years is not None:
            text += f", {answer.expected_years:.0f} years"
        words.append(f"{text:<{_TASK_WIDTH}}")
    return "".join(words)


def _left(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"…{text[1 - width :]}"
