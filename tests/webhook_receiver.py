"""A receiver of webhooks on 127.0.0.1 that answers as the test says, and a service that may send to it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import trustme

from tests.running_service import RunningService, running_service

_PATIENCE = 60.0


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def message(self) -> dict[str, Any]:
        """Its body, decoded."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass
class Receiver:
    """What was received, and how it is answered: by `answers` in their order, the last of them again and again."""

    url: str = ""
    answers: list[int] = field(default_factory=lambda: [204])
    location: str = ""
    open: threading.Event = field(default_factory=threading.Event)
    """While it is not set, nothing is answered."""
    _received: list[Received] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def received(self, count: int = 1) -> list[Received]:
        """All that has come, once that is so much."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._received) >= count, _PATIENCE), self._received
            return list(self._received)

    def take(self, request: Received) -> int:
        """A request has come; how it is answered."""
        with self._news:
            self._received.append(request)
            status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            self._news.notify_all()
        return status


@contextmanager
def receiving(*answers: int, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver while the block runs; with TLS its URL names `host`."""
    receiver = Receiver(answers=list(answers) or [204])
    receiver.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # its name
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Received(self.path, headers, body))
            receiver.open.wait(_PATIENCE)
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            return  # a client that hung up

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        scheme = "https"
    receiver.url = f"{scheme}://{host}:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.open.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certified(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """What a server has that can say to be this host, as this authority sees it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    return context


@contextmanager
def telling(folder: Path, *receivers: Receiver, **settings: Any) -> Iterator[RunningService]:
    """A service that may send to these and tries again soon."""
    allowed = [httpx.URL(receiver.url).netloc.decode() for receiver in receivers]
    wanted = {
        "webhook_allow_private": [name.replace("localhost", "127.0.0.1") for name in allowed],
        "webhook_allow_http": True,
        "webhook_retry": 0.05,
        **settings,
    }
    with running_service(folder, **wanted) as service:
        yield service
