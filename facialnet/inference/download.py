"""Fetching a photo from an address, within bounds, and never from inside the own network.

The connection goes to the very address that was checked: a name that is looked up twice can answer
with a public address first and with a private one then (DNS rebinding).
"""

import contextlib
import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from urllib.parse import SplitResult, urljoin, urlsplit

from facialnet.data.decode import UnreadableImageError
from facialnet.errors import gist

MAX_BYTES = 25_000_000
SECONDS = 10.0  # for all of it, redirects included
_REDIRECTS = 5
_CHUNK = 1 << 16
_AGENT = "facialnet"


def download(address: str, *, seconds: float = SECONDS, most: int = MAX_BYTES) -> bytes:
    """Return the content behind an http or https address.

    Proxies of the environment are not used.

    Args:
        address: the address.
        seconds: for all of it.
        most: bytes that the content may have.

    Raises:
        UnreadableImageError: the address is of another kind, leads to a private, loopback or
            link-local host (directly, by its name or by a redirect), answers with an error, is too
            slow or too large.
    """
    deadline = time.monotonic() + seconds
    try:
        for _ in range(_REDIRECTS + 1):
            content, address = _fetch(address, deadline, most)
            if content is not None:
                return content
        raise UnreadableImageError(f"more than {_REDIRECTS} redirects")
    except UnreadableImageError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if time.monotonic() >= deadline:
            raise UnreadableImageError(f"download took longer than {seconds:g} s") from None
        raise UnreadableImageError(f"download failed: {gist(error)}"[:200]) from error


def public_addresses(host: str, port: int, deadline: float) -> list[str]:
    """Return the host's numeric addresses after checking that all of them are public ones.

    Raises UnreadableImageError otherwise: a name that also leads inside is not to be trusted.
    """
    numbers = _look_up(host, port, deadline)
    for number in numbers:
        if not _is_public(number):
            raise UnreadableImageError(f"{host} is no public host; only those are fetched from")
    return numbers


def _fetch(address: str, deadline: float, most: int) -> tuple[bytes | None, str]:
    """Return the content, or None and where the address redirects to."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnreadableImageError("only http:// and https:// addresses are fetched")
    connection = _connect(parts, deadline)
    # Time limits of sockets are for each read; this one ends a drip of single bytes too.
    watch = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, [connection.sock])
    watch.daemon = True
    watch.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": _AGENT, "Accept": "image/*"})
        response = connection.getresponse()
        if response.status in (301, 302, 303, 307, 308):
            place = response.getheader("Location")
            if not place:
                raise UnreadableImageError("a redirect to nowhere")
            return None, urljoin(address, place)
        if response.status != 200:
            raise UnreadableImageError(f"the server answers {response.status}")
        return _read(response, deadline, most), address
    finally:
        watch.cancel()
        connection.close()


def _read(response: http.client.HTTPResponse, deadline: float, most: int) -> bytes:
    if response.length is not None and response.length > most:
        raise UnreadableImageError(f"{response.length:,} bytes are too many")
    expected = response.length
    content = bytearray()
    while chunk := response.read1(_CHUNK):
        content += chunk
        if len(content) > most:
            raise UnreadableImageError(f"more than {most:,} bytes")
        if time.monotonic() >= deadline:
            raise TimeoutError
    if time.monotonic() >= deadline:
        raise TimeoutError
    if expected is not None and len(content) < expected:
        raise UnreadableImageError("the connection broke off")
    return bytes(content)


def _connect(parts: SplitResult, deadline: float) -> http.client.HTTPConnection:
    """Connect to a checked address; a certificate must be that of the host's name."""
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    failure: OSError | None = None
    for number in public_addresses(host, port, deadline):
        left = max(0.1, deadline - time.monotonic())
        try:
            line = socket.create_connection((number, port), timeout=left)
        except OSError as error:
            failure = error
            continue
        connection = http.client.HTTPConnection(host, port, timeout=left)
        if secure:
            try:
                line = ssl.create_default_context().wrap_socket(line, server_hostname=host)
            except OSError:
                line.close()
                raise
            connection.default_port = 443  # so that the Host header leaves it out
        connection.sock = line
        return connection
    raise failure or OSError("no address")


def _look_up(host: str, port: int, deadline: float) -> list[str]:
    """Return the host's numeric addresses; a look-up itself knows no time limit."""
    answers: queue.Queue[list[str] | OSError | UnicodeError] = queue.Queue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError from None
    if not isinstance(answer, list):
        raise UnreadableImageError(f"there is no host {host}") from answer
    return answer


def _is_public(number: str) -> bool:
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and not _is_public(str(inner)):
            return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    if address.version == 6 and address in _TRANSLATED:
        return True
    return address.is_global and not special


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")  # IPv4 behind a translator


def _cut(line: socket.socket | None) -> None:
    if line is not None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
