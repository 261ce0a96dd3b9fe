"""What may be uploaded to the page: how large, how many, and that nothing of it is kept."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facialnet.data.decode import UnreadableImageError
from facialnet.data.partial_folder import is_running

MAX_BYTES = 10_000_000  # of one photo
_OVERHEAD = 10_000  # of the form around it
MAX_FILES = 16  # that wait to be looked at
_PREFIX = "facialnet-page-"
_SECONDS = 120  # after which a file that nobody asked about is deleted

# ASGI's own terms.
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@contextmanager
def upload_folder() -> Iterator[Path]:
    """Give uploads an empty folder of their own, and delete it with all that is in it.

    It becomes the working directory too: gradio may serve files that lie there. Folders that a
    killed page left are deleted first.
    """
    before = Path.cwd()
    _remove_leftovers(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    inside = folder / "here"
    inside.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
    os.chdir(inside)
    try:
        yield folder / "uploads"
    finally:
        os.chdir(before)
        del os.environ["GRADIO_TEMP_DIR"]
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(place: Path) -> None:
    for left in place.glob(f"{_PREFIX}*"):
        process = left.name.removeprefix(_PREFIX).partition("-")[0]
        if process.isdigit() and not is_running(int(process)):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def taken(path: str, folder: Path) -> Iterator[Path]:
    """Give an uploaded file to whoever reads it, and delete it then.

    Raises UnreadableImageError where it lies elsewhere, is gone or is too large.
    """
    place = Path(path).resolve()
    if not place.is_relative_to(folder.resolve()) or not place.is_file():
        raise UnreadableImageError("the upload is no longer there; choose the photo again")
    try:
        if place.stat().st_size > MAX_BYTES:
            raise UnreadableImageError(f"a photo may have {MAX_BYTES // 1_000_000} MB at the most")
        yield place
    finally:
        place.unlink(missing_ok=True)
        if place.parent != folder.resolve():
            shutil.rmtree(place.parent, ignore_errors=True)


def remove_old(folder: Path) -> int:
    """Delete uploads that nobody asked about for a while; return how many files are left."""
    left = 0
    for path in folder.rglob("*"):
        try:
            if not path.is_file():
                continue
            if time.time() - path.stat().st_mtime > _SECONDS:
                path.unlink()
            else:
                left += 1
        except FileNotFoundError:
            continue
    return left


class UploadLimits:
    """Refuse uploads that are too large or too many before they are written, and foreign content.

    An ASGI middleware. Every answer forbids the browser to load anything from elsewhere.

    Args:
        app: what answers the rest.
        folder: of the uploads.
    """

    _POLICY = (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-src 'self' data:; "
        "form-action 'self'; base-uri 'self'; object-src 'none'"
    )

    def __init__(self, app: Application, *, folder: Path) -> None:
        self._app = app
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload"):
            problem = self._problem(dict(scope["headers"]))
            if problem is not None:
                await _refuse(send, *problem)
                return

        async def send_with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []),
                    (b"content-security-policy", self._POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_policy)

    def _problem(self, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return 411, "an upload must say how long it is"
        if int(length) > MAX_BYTES + _OVERHEAD:
            return 413, f"a photo may have {MAX_BYTES // 1_000_000} MB at the most"
        if self._folder.is_dir() and remove_old(self._folder) >= MAX_FILES:
            return 429, "too many photos are waiting; try again in a minute"
        return None


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason, "error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
