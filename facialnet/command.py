"""How a command ends: one line about an error, and an exit code that says whose it is."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from facialnet.errors import UserError, gist

TRACEBACK = "FACIALNET_TRACEBACK"


def run_command(task: Callable[[], None]) -> None:
    """Run a command; an error ends in one line and an exit code other than 0.

    Exit codes: 2 for what the user can mend, 1 for anything else, 128 + number for a signal.
    FACIALNET_TRACEBACK=1 asks for the traceback too.
    """
    try:
        task()
    except (Exception, KeyboardInterrupt) as error:
        end(error)


def end(error: BaseException) -> NoReturn:
    """End the process for an error; call it where the error is being handled."""
    match error:
        case UserError():
            fail(str(error), 2)
        case KeyboardInterrupt():
            fail("stopped by SIGINT", 130)
        case BrokenPipeError():  # the reader of a pipe has had enough, as in --help | head
            sys.stderr.close()
            sys.exit(0)
        case OSError(errno=errno.ENOSPC):
            fail(
                "the disk is full: free some, or write elsewhere (run_dir, paths.data, --out)",
                2,
            )
        case PermissionError():
            fail(f"{error.filename}: permission denied; choose another place to write to", 2)
        case _:
            fail(f"{type(error).__name__}: {gist(error)} ({TRACEBACK}=1 shows where)", 1)


def fail(message: str, code: int) -> NoReturn:
    """Print one line about an error, with the traceback if it was asked for, and end."""
    if os.environ.get(TRACEBACK, "0") != "0":
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
