"""Decoding heavy pictures in a process of its own, which can be ended and has a memory limit.

A thread cannot be stopped, and a decoder that crashes takes its process with it. So pictures that
may take long, and kinds whose decoders are young, are decoded over there.

Protocol on the process's pipes: ready byte; then for each picture its length and content, answered
by a mark, a JSON header with its length, and the pixels.
"""

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np

from facialnet.data.decode import UnreadableImageError
from facialnet.inference.decoding import Decoded, decode_photo

SECONDS = 4.5  # of a processor's time for one picture
PATIENCE = 20.0  # seconds by the clock: the machine may be busy with other things
_START_SECONDS = 60.0
_MEMORY = 2 << 30  # bytes that the process may allocate
_LENGTH = struct.Struct(">Q")
_OUT_OF_TIME = getattr(signal, "SIGPROF", 0)  # 0 where there is no such clock: not on Windows


class DecodingProcess:
    """A process that decodes one picture after the other; started with the first one.

    Used by one thread at a time.

    Args:
        seconds: of a processor's time that one picture may take.
        patience: seconds by the clock that it may take.
    """

    def __init__(self, *, seconds: float = SECONDS, patience: float = PATIENCE) -> None:
        self._seconds = seconds
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, content: bytes) -> Decoded:
        """Decode a picture; raises UnreadableImageError, also where it takes too long."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        expired = threading.Event()

        def end() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(self._patience, end)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(_LENGTH.pack(len(content)) + content)
            process.stdin.flush()
            header = json.loads(_receive(process.stdout))
            if "error" in header:
                raise UnreadableImageError(header["error"])
            pixels = np.frombuffer(_receive(process.stdout), np.uint8).reshape(header["shape"])
            return Decoded(pixels, header["reduced"])
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            slow = expired.is_set() or process.returncode == -_OUT_OF_TIME
            self.close()
            reason = f"took longer than {self._seconds:g} s" if slow else "crashed"
            raise UnreadableImageError(f"decoding {reason}") from None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            self._process = None

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        package = Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the command, which ends this process itself
        )
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        assert self._process.stdout is not None
        ready = self._process.stdout.read(1)
        timer.cancel()
        if not ready:
            self.close()
            raise UnreadableImageError("the process for heavy pictures does not start")
        return self._process


def _receive(pipe: IO[bytes]) -> bytes:
    length = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))[0]
    return _exactly(pipe, length)


def _exactly(pipe: IO[bytes], length: int) -> bytes:
    content = pipe.read(length)
    if len(content) < length:
        raise EOFError
    return content


def _send(pipe: IO[bytes], content: bytes | memoryview) -> None:
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)


def _answer(content: bytes, seconds: float) -> tuple[dict[str, Any], bytes]:
    try:
        _limit_time(seconds)
        decoded = decode_photo(content)
    except UnreadableImageError as error:
        return {"error": str(error)}, b""
    finally:
        _limit_time(0)
    header = {"shape": decoded.pixels.shape, "reduced": decoded.reduced}
    return header, decoded.pixels.tobytes()


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))


def _limit_time(seconds: float) -> None:
    """End this process after so much of a processor's time, also inside a decoder; 0: never."""
    if _OUT_OF_TIME:
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _serve(seconds: float) -> None:
    _limit_memory()
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # no library may write into the answers
    outgoing.write(b"R")
    outgoing.flush()
    while len(head := incoming.read(_LENGTH.size)) == _LENGTH.size:
        header, pixels = _answer(_exactly(incoming, _LENGTH.unpack(head)[0]), seconds)
        _send(outgoing, json.dumps(header).encode())
        if pixels:
            _send(outgoing, pixels)
        outgoing.flush()


if __name__ == "__main__":
    _serve(float(sys.argv[1]))
