import asyncio
import os
import time
from pathlib import Path

import pytest

from facialnet.data.decode import UnreadableImageError
from facialnet.inference.app import uploads
from facialnet.inference.app.uploads import (
    MAX_BYTES,
    MAX_FILES,
    UploadLimits,
    remove_old,
    taken,
    upload_folder,
)


def request(limits, path="/gradio_api/upload", method="POST", **headers):
    """Status, headers and body of one answer; the application behind answers 200."""
    sent = []

    async def ask():
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        }

        async def send(message):
            sent.append(message)

        await limits(scope, None, send)

    asyncio.run(ask())
    start = sent[0]
    return start["status"], dict(start["headers"]), sent[1]["body"]


@pytest.fixture
def limits(tmp_path):
    reached = []

    async def application(scope, receive, send):
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"reached"})

    middleware = UploadLimits(application, folder=tmp_path / "uploads")
    middleware.reached = reached
    return middleware


def upload(folder, name="photo.jpg", content=b"picture"):
    place = folder / "hash" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def test_a_photo_of_the_allowed_size_passes(limits):
    assert request(limits, content_length=str(MAX_BYTES))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_length": str(2 * MAX_BYTES)}, 413),
        ({"transfer_encoding": "chunked"}, 411),
        ({"content_length": "-5"}, 411),
    ],
)
@pytest.mark.parametrize("path", ["/gradio_api/upload", "/upload/", "/any/upload"])
def test_what_is_too_large_or_says_no_size_is_refused_unread(limits, headers, status, path):
    found, _, body = request(limits, path, **headers)
    assert found == status
    assert b"detail" in body
    assert limits.reached == []


def test_too_many_waiting_photos_are_refused_until_old_ones_are_gone(limits, tmp_path):
    folder = tmp_path / "uploads"
    for number in range(MAX_FILES):
        upload(folder, f"{number}.jpg")
    assert request(limits, content_length="100")[0] == 429
    long_ago = time.time() - 1000
    for path in folder.rglob("*.jpg"):
        os.utime(path, (long_ago, long_ago))
    assert request(limits, content_length="100")[0] == 200
    assert list(folder.rglob("*.jpg")) == []


def test_every_answer_forbids_to_load_from_elsewhere(limits):
    _, headers, _ = request(limits, "/", "GET")
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_an_upload_is_deleted_once_it_was_read(tmp_path):
    place = upload(tmp_path)
    with taken(str(place), tmp_path) as path:
        assert path.read_bytes() == b"picture"
    assert list(tmp_path.iterdir()) == []


def test_an_upload_is_deleted_when_reading_it_fails(tmp_path):
    place = upload(tmp_path)
    with pytest.raises(ZeroDivisionError), taken(str(place), tmp_path):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["/etc/passwd", "{}/../secret.jpg", "{}/link.jpg", "{}", ""])
def test_nothing_outside_the_upload_folder_is_read_or_deleted(tmp_path, path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(secret)
    with (
        pytest.raises(UnreadableImageError, match="no longer there"),
        taken(path.format(folder), folder),
    ):
        pass
    assert secret.read_bytes() == b"secret"


def test_a_too_large_upload_is_deleted_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MAX_BYTES", 3)
    place = upload(tmp_path)
    with pytest.raises(UnreadableImageError, match="MB at the most"), taken(str(place), tmp_path):
        pass
    assert not place.exists()


def test_the_folder_is_the_working_directory_and_goes_with_all_that_is_in_it():
    before = Path.cwd()
    with upload_folder() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert list(Path.cwd().iterdir()) == []
        assert Path.cwd() != before
        upload(folder)
    assert not folder.parent.exists()
    assert Path.cwd() == before
    assert "GRADIO_TEMP_DIR" not in os.environ


def test_what_a_killed_page_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "facialnet-page-999999999-x"
    alive = tmp_path / f"facialnet-page-{os.getppid()}-x"
    foreign = tmp_path / "facialnet-page-notes"
    for folder in (dead, alive, foreign):
        (folder / "uploads").mkdir(parents=True)
    with upload_folder():
        assert not dead.exists()
        assert alive.exists()
        assert foreign.exists()


def test_fresh_uploads_stay(tmp_path):
    upload(tmp_path)
    assert remove_old(tmp_path) == 1
    assert remove_old(tmp_path / "nothing") == 0
