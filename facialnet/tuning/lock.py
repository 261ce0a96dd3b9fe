"""One process at a time in a folder, also after a kill."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from facialnet.errors import UserError

LOCK = ".lock"


@contextmanager
def alone_in(folder: Path, *, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Work in a folder alone: jobs of a launcher outlive the command that started them.

    The system lets go of the lock when its process ends, however it ends. Where the disk knows no
    locks, nothing is kept out.

    Args:
        folder: it is made where it is not there.
        say: tell that another process is at work here, and wait for its end; None: refuse.

    Raises UserError where another process is at work and nobody waits.
    """
    try:
        import fcntl
    except ImportError:  # on Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                holder = f"process {file.read() or '?'} is at work in {folder}"
                if say is None:
                    raise UserError(f"{holder}; wait for its end, or stop it") from None
                say(f"{holder}; waiting for its end")
                fcntl.lockf(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
