"""The page in a real browser: photos go in, answers come out, nothing else does."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from believable_runs import faces, make_run
from PIL import Image
from tiny_checkpoint import write_checkpoint

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
NAMES = ("Aaron_Eckhart", "Abdoulaye_Wade")
WAIT = 120_000  # milliseconds


@pytest.fixture(scope="module")
def photos(shared, tmp_path_factory):
    """One real photo, two people side by side, no face, a broken file, a too large one."""
    folder = tmp_path_factory.mktemp("photos")
    with tarfile.open(shared / "data" / "lfw.tar") as archive:
        members = {Path(each.name).name: each for each in archive if each.name.endswith(".jpg")}
        people = [
            np.array(Image.open(archive.extractfile(members[f"{name}_0001.jpg"]))) for name in NAMES
        ]
    Image.fromarray(people[0]).save(folder / "one.jpg", quality=95)
    Image.fromarray(np.hstack(people)).save(folder / "two.jpg", quality=95)
    Image.fromarray(np.full((200, 200, 3), 120, np.uint8)).save(folder / "none.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20)
    noise = np.random.default_rng(0).integers(0, 256, (2000, 2500, 3), np.uint8)
    Image.fromarray(noise).save(folder / "large.png")
    assert (folder / "large.png").stat().st_size > 10_000_000
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Address of a running page, and where its process keeps uploads."""
    folder = tmp_path_factory.mktemp("page")
    checkpoint = write_checkpoint(folder / "tiny.ckpt")
    make_run(folder / "outputs" / "demo" / "first", faces(200, people=30))
    command = [sys.executable, "-m", "facialnet.app", str(checkpoint), "--no-browser"]
    environment = os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--runs", str(folder / "outputs")],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    line = process.stdout.readline()
    assert line.startswith("the page: http://127.0.0.1:"), line
    yield line.split()[2], folder
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert list(folder.glob("facialnet-page-*")) == []


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium, such as Debian's package")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def tab(browser, page):
    """A tab with the page, and every address that it asked for."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(page[0])
    opened.wait_for_selector("#upload input[type=file]", state="attached", timeout=WAIT)
    yield opened
    opened.close()


def uploaded(page):
    return [path for path in page[1].glob("facialnet-page-*/uploads/**/*") if path.is_file()]


def answer(tab, path):
    tab.set_input_files("#upload input[type=file]", path)
    tab.wait_for_selector("#answer .facialnet", timeout=WAIT)
    return tab.locator("#answer")


def test_a_photo_is_answered_explained_and_not_kept(tab, page, photos):
    said = answer(tab, photos / "one.jpg")
    assert said.locator("svg rect").count() == 1
    assert said.locator("section.face").count() == 1
    assert "gender" in said.inner_text()
    tab.wait_for_selector("#answer details.why", timeout=WAIT)
    assert said.locator("details.why").count() == 2
    assert "deleting the map" in said.inner_text()
    assert uploaded(page) == []
    own = (page[0], "data:", "blob:")
    assert [url for url in tab.asked if not url.startswith(own)] == []


def test_two_faces_get_two_answers(tab, photos):
    said = answer(tab, photos / "two.jpg")
    assert said.locator("svg rect").count() == 2
    assert said.locator("section.face").count() == 2


def test_no_face_is_said(tab, photos):
    assert "No face was found" in answer(tab, photos / "none.png").inner_text()


def test_a_broken_file_is_named_and_the_next_photo_is_answered(tab, page, photos):
    assert "cannot be read" in answer(tab, photos / "broken.jpg").inner_text()
    assert uploaded(page) == []
    tab.set_input_files("#upload input[type=file]", photos / "one.jpg")
    tab.wait_for_selector("#answer section.face", timeout=WAIT)


def test_a_too_large_file_is_refused(tab, page, photos):
    tab.set_input_files("#upload input[type=file]", photos / "large.png")
    tab.wait_for_timeout(3000)
    assert tab.locator("#answer .facialnet").count() == 0
    assert "10" in tab.locator("body").inner_text()
    assert uploaded(page) == []


def test_runs_can_be_browsed(tab):
    tab.get_by_role("tab", name="Runs").click()
    tab.locator("#run input").click()
    tab.get_by_role("option", name="demo/first").click()
    frame = tab.frame_locator("iframe.report")
    frame.locator("h1").wait_for(timeout=WAIT)
    assert "gender" in frame.locator("body").inner_text()


def status(address, content=None, **headers):
    request = urllib.request.Request(address, content, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{}/tiny.ckpt", "{}/outputs/demo/first/results.json", "../../tiny.ckpt"]
)
def test_no_file_outside_the_upload_folder_is_served(page, path):
    secret = path.format(page[1])
    for route in ("gradio_api/file=", "file=", "gradio_api/file/", "static/", "assets/"):
        code, content = status(f"{page[0]}{route}{secret}")
        assert code in (400, 403, 404, 422), (route, code)
        assert b"root:" not in content


def test_an_answer_cannot_be_asked_about_a_file_of_the_machine(page):
    config = json.loads(status(f"{page[0]}config")[1])
    for number in range(len(config["dependencies"])):
        data = [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, "tiny.ckpt"]
        body = json.dumps({"fn_index": number, "data": data, "session_hash": "test"}).encode()
        status(f"{page[0]}gradio_api/queue/join", body, **{"Content-Type": "application/json"})
    address = f"{page[0]}gradio_api/queue/data?session_hash=test"
    with urllib.request.urlopen(address, timeout=30) as stream:
        end, said = time.monotonic() + 20, b""
        while time.monotonic() < end and b"close_stream" not in said:
            said += stream.readline()
    assert b"root:" not in said
    assert b"<svg" not in said


def test_uploads_are_limited(page):
    address = f"{page[0]}gradio_api/upload"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    announced = http.client.HTTPConnection(page[0].split("/")[2], timeout=30)
    announced.putrequest("POST", "/gradio_api/upload")
    announced.putheader("Content-Length", "11000000")
    announced.endheaders()
    assert announced.getresponse().status == 413  # before a byte of it was sent
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    bodies = [head + b"photo %d\r\n--x--\r\n" % number for number in range(20)]
    codes = [status(address, body, **kind)[0] for body in bodies]
    assert codes[0] == 200
    assert codes[-1] == 429
