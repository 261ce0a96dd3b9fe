"""Folders that are written aside and renamed, and what is left of them after a kill."""

import os
import shutil
import socket
from pathlib import Path


def partial_place(folder: Path) -> Path:
    """Return where this process writes what is to become ``folder``."""
    return folder.with_name(f"{_stem(folder)}.{os.getpid()}.partial")


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that no longer run left beside ``folder``."""
    for leftover in folder.parent.glob(f"{_stem(folder)}.*.partial"):
        process = int(leftover.name.split(".")[-2])
        # One of this very number is from an earlier process: in containers numbers come again.
        if process == os.getpid() or not is_running(process):
            shutil.rmtree(leftover, ignore_errors=True)


def _stem(folder: Path) -> str:
    # Machines may share the disk, and process numbers mean something on their own machine only.
    return f".{folder.parent.name}.{socket.gethostname().replace('.', '-')}"


def is_running(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)  # asks without a signal, also where there is no /proc
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return True
