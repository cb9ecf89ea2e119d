"""An HTTP client that is never the bottleneck: a socket, large reads, and no look at the bytes while the clock runs."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.errors import RowFailed

_READ = 256 * 1024
# Servers close connections that nobody used for a while (uvicorn after five seconds); clients must not trust old ones.
_TRUSTED_SECONDS = 2.0
# Inside an event stream there is no CR, so this can only be the end of it; an empty stream is none of ours.
LAST_CHUNK = b"\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Answer:
    """A whole answer: its head, and its body in the pieces that it was received in, chunk sizes and all."""

    head: bytes
    pieces: list[bytes]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.head.split(b" ", 2)[1])

    @cached_property
    def body(self) -> bytes:
        """The body."""
        raw = b"".join(self.pieces)
        return dechunked(raw) if is_chunked(self.head) else raw

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """A header's value."""
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return next(value.strip() for key, _, value in (line.partition(":") for line in lines) if key.lower() == name)


class HttpClient:
    """One kept-alive connection to the service."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket = self._connect()
        self._used = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor of the connection, for who waits for many of them."""
        return self._socket.fileno()

    def refresh(self) -> None:
        """Connect anew if the connection was long unused. Called before the clock runs."""
        if time.monotonic() - self._used > _TRUSTED_SECONDS:
            self._socket.close()
            self._socket = self._connect()

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Send a request and read its whole answer. Raises RowFailed for one that is no success."""
        self.refresh()
        self.send(method, path, body)
        head, rest = self.read_head()
        answer = Answer(head, self._read_body(head, rest))
        self._used = time.monotonic()
        if answer.status >= 300:
            raise RowFailed(f"{method} {path} answered {answer.status}: {answer.body.decode()}")
        return answer

    def send(self, method: str, path: str, body: object = None) -> None:
        """Send a request only."""
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + content)

    def read_head(self) -> tuple[bytes, bytes]:
        """The answer's head, and what of the body came along with it."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.receive()
        head, _, rest = received.partition(b"\r\n\r\n")
        return head, rest

    def receive(self, most: int = _READ) -> bytes:
        """Some more bytes of the answer. Raises RowFailed when the service hung up."""
        data = self._socket.recv(most)
        if not data:
            raise RowFailed("the service closed the connection in the middle of an answer")
        return data

    def read_chunks(self, start: bytes) -> list[bytes]:
        """A chunked body of which `start` has been read, in pieces."""
        pieces = [start]
        end = start[-len(LAST_CHUNK) :]
        while end != LAST_CHUNK:
            data = self.receive()
            pieces.append(data)
            end = data[-len(LAST_CHUNK) :] if len(data) >= len(LAST_CHUNK) else (end + data)[-len(LAST_CHUNK) :]
        return pieces

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(self._address, timeout=120)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def _read_body(self, head: bytes, rest: bytes) -> list[bytes]:
        if is_chunked(head):
            return self.read_chunks(rest)
        length = int(Answer(head, []).header("content-length"))
        while len(rest) < length:
            rest += self.receive()
        return [rest]


def is_chunked(head: bytes) -> bool:
    """Whether the body comes in chunks."""
    return b"transfer-encoding: chunked" in head.lower()


def dechunked(raw: bytes) -> bytes:
    """The content of a chunked body (RFC 9112, section 7.1)."""
    content: list[bytes] = []
    position = 0
    while True:
        line_end = raw.index(b"\r\n", position)
        size = int(raw[position:line_end], 16)
        if size == 0:
            return b"".join(content)
        content.append(raw[line_end + 2 : line_end + 2 + size])
        position = line_end + 4 + size


def events(body: bytes) -> list[dict[str, Any]]:
    """The events of an event stream."""
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: ")]
