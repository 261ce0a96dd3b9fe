"""A file that one process at a time adds rows to."""

import errno
from pathlib import Path
from typing import IO

from facialnet.errors import UserError


def open_alone(path: Path) -> IO[bytes]:
    """Open a file to add to its end, and keep other processes out of it until it is closed.

    The system lets go of it, too, when the process ends, however it ends. Where the disk knows no
    locks, nothing is kept out.

    Raises UserError where another process has it open in this way.
    """
    file = path.open("ab")
    try:
        import fcntl
    except ImportError:  # on Windows
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            file.close()
            raise UserError(
                f"another run is writing {path}; wait for its end, or choose another --output"
            ) from None
    return file
