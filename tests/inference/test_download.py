"""Downloads against a server of this machine, which is let through by its address alone."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from facialnet.data.decode import UnreadableImageError
from facialnet.inference import download as module
from facialnet.inference.download import download, public_addresses


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"]))
        action = getattr(self, "_" + self.path.strip("/").split("?")[0], None)
        if action is None:
            self.send_error(404)
        else:
            action()

    def log_message(self, *_):
        pass

    def _send(self, body, length=None):
        self.send_response(200)
        if length is not False:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _good(self):
        self._send(b"picture" * 1000)

    def _large(self):
        self._send(b"x", length=10**9)

    def _endless(self):
        self._send(b"", length=False)
        self._drip(b"x" * 65536, 0)

    def _slow(self):
        self._send(b"", length=10**4)
        self._drip(b"x", 0.02)

    def _headers(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        self._drip(b"X-A: b\r\n", 0.02)

    def _short(self):
        self._send(b"x" * 10, length=1000)

    def _inside(self):
        self._redirect("http://10.0.0.1/secret")

    def _file(self):
        self._redirect("file:///etc/passwd")

    def _loop(self):
        self._redirect("/loop")

    def _twice(self):
        self._redirect("good?a=b")

    def _nowhere(self):
        self.send_response(302)
        self.end_headers()

    def _redirect(self, place):
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()

    def _drip(self, piece, pause):
        try:
            for _ in range(20_000):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            return  # the other side has had enough


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def base(server, monkeypatch):
    """The server's address under a name, let through by its number, which no other host has."""
    public = module._is_public
    monkeypatch.setattr(module, "_is_public", lambda n: n == "127.0.0.1" or public(n))
    look_up = socket.getaddrinfo

    def resolve(host, port, *rest, **options):
        return look_up("127.0.0.1" if host == "photos.test" else host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server.asked.clear()
    return f"http://photos.test:{server.server_port}"


def reason(address, **limits):
    with pytest.raises(UnreadableImageError) as caught:
        download(address, **limits)
    return str(caught.value)


def test_a_picture_is_fetched_under_the_hosts_name(base, server):
    assert download(f"{base}/good?x=1#part") == b"picture" * 1000
    assert server.asked == [("/good?x=1", base.removeprefix("http://"))]


def test_redirects_are_followed(base):
    assert download(f"{base}/twice") == b"picture" * 1000


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("missing", "the server answers 404"),
        ("large", "1,000,000,000 bytes are too many"),
        ("endless", "more than 100,000 bytes"),
        ("short", "the connection broke off"),
        ("inside", "10.0.0.1 is no public host"),
        ("file", "only http:// and https://"),
        ("loop", "more than 5 redirects"),
        ("nowhere", "a redirect to nowhere"),
    ],
)
def test_what_is_not_fetched(base, path, said):
    assert said in reason(f"{base}/{path}", most=100_000)


@pytest.mark.parametrize("path", ["slow", "headers"])
def test_a_drip_ends_in_time(base, path):
    begun = time.monotonic()
    assert "longer than 1 s" in reason(f"{base}/{path}", seconds=1)
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1"),
        *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]"),
        *("[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[ff02::1]"),
    ],
)
def test_hosts_inside_are_refused_however_they_are_written(host):
    said = reason(f"http://{host}/a.jpg")
    assert "no public host" in said or "there is no host" in said


def test_public_hosts_are_not():
    soon = time.monotonic() + 5
    assert public_addresses("93.184.215.14", 80, soon) == ["93.184.215.14"]
    assert public_addresses("2606:4700::1111", 80, soon) == ["2606:4700::1111"]


def test_a_name_that_leads_inside_too_is_refused(monkeypatch):
    both = [(2, 1, 6, "", ("93.184.215.14", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    assert "no public host" in reason("http://both.test/a.jpg")


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    """A name that answers with a private address the second time gets nowhere."""
    answers = iter(["93.184.215.14", "127.0.0.1"])
    connected = []

    def resolve(host, port, **_):
        return [(2, 1, 6, "", (next(answers), port))]

    def connect(address, timeout):
        connected.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    assert "no network in tests" in reason("http://rebinding.test/a.jpg")
    assert connected == [("93.184.215.14", 80)]


def test_a_look_up_that_hangs_ends_in_time(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2) or [])
    begun = time.monotonic()
    assert "longer than 0.2 s" in reason("http://slow.test/a.jpg", seconds=0.2)
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("address", ["http://", "http:///a", "http://a:b/", "gopher://a.org/"])
def test_addresses_that_are_none(address):
    assert reason(address)
