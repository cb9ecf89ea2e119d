"""An HTTP client for large bodies, in and out: the same for every server, and no look at the bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.errors import RowFailed

_READ = 1024 * 1024
_WRITE = 256 * 1024
_PATIENCE = 300
_BOUNDARY = "the-boundary-of-the-benchmarks"


def download(address: tuple[str, int], path: str, look: Callable[[memoryview], object] = len) -> tuple[float, int]:
    """The seconds from asking until all has come, and the bytes of it. `look` is given each piece."""
    buffer = memoryview(bytearray(_READ))
    size = 0
    with _connected(address) as connection:
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        _expect(answer.status, (200,), f"GET {path}")
        while count := answer.readinto(buffer):
            look(buffer[:count])
            size += count
        return time.perf_counter() - started, size


def upload(
    address: tuple[str, int], method: str, path: str, body: Iterable[bytes], content_type: str = "text/plain"
) -> float:
    """The seconds until a body, sent in chunks, has been taken."""
    headers = {"Content-Type": content_type, "Transfer-Encoding": "chunked"}
    with _connected(address) as connection:
        started = time.perf_counter()
        connection.request(method, path, body, headers, encode_chunked=True)
        answer = connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - started
        _expect(answer.status, (200, 201, 204), f"{method} {path}")
        return seconds


def pieces(file: Path) -> Iterator[bytes]:
    """A file's content."""
    with file.open("rb", buffering=0) as opened:
        while piece := opened.read(_WRITE):
            yield piece


MULTIPART = f"multipart/form-data; boundary={_BOUNDARY}"


def multipart(metadata: str, content: Iterable[bytes]) -> Iterator[bytes]:
    """The body of POST /files/upload with one file, of the type MULTIPART."""
    yield _part("metadata", "application/json") + metadata.encode() + b"\r\n" + _part("file", "text/plain")
    yield from content
    yield f"\r\n--{_BOUNDARY}--\r\n".encode()


@contextmanager
def _connected(address: tuple[str, int]) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(*address, timeout=_PATIENCE)
    try:
        connection.connect()
        yield connection
    except (OSError, HTTPException) as error:
        raise RowFailed(f"the server at port {address[1]} broke off: {error!r}") from error
    finally:
        connection.close()


def _part(name: str, content_type: str) -> bytes:
    disposition = f'form-data; name="{name}"; filename="{name}"'
    return f"--{_BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: {content_type}\r\n\r\n".encode()


def _expect(status: int, expected: tuple[int, ...], what: str) -> None:
    if status not in expected:
        raise RowFailed(f"{what} answered {status}")
