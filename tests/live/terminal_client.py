"""A client of a terminal over its WebSocket, as a program of a user would be."""

from __future__ import annotations

import json
import re
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.running_service import RunningService

PATIENCE = 30.0


class TerminalClient:
    """One attachment. `screen` is what was not yet waited for; `offset` what a later attachment would ask for."""

    def __init__(
        self, service: RunningService, terminal_id: str, query: str = "", base: str = "", **options: Any
    ) -> None:
        self._open = ExitStack()
        self._socket: ClientConnection = self._open.enter_context(
            connect(f"ws://{service.authority}{base}/pty/{terminal_id}/ws{query}", max_size=None, **options)
        )
        self.screen = bytearray()
        self.errors = bytearray()
        self.texts: list[dict[str, Any]] = []
        self.replay: tuple[int, bytes] | None = None
        self.offset = 0
        self.frames = 0
        self.closed: tuple[int, str] | None = None
        self.wait_for_text("connected")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def type(self, data: str | bytes) -> None:
        """Press keys."""
        self._socket.send(b"\x00" + (data.encode() if isinstance(data, str) else data))

    def say(self, **frame: Any) -> None:
        """Send a JSON message."""
        self._socket.send(json.dumps(frame))

    def send(self, message: str | bytes) -> None:
        """Send whatever it is."""
        self._socket.send(message)

    def vanish(self) -> None:
        """Drop the connection without a word."""
        self._socket.socket.shutdown(socket.SHUT_RDWR)
        self._open.close()

    def until(self, pattern: bytes) -> re.Match[bytes]:
        """Read until the screen shows the pattern; what was shown up to its end is forgotten."""
        while (found := re.search(pattern, bytes(self.screen), re.DOTALL)) is None:
            try:
                assert self.read(), "the connection has ended"
            except (AssertionError, TimeoutError) as error:
                error.add_note(f"{pattern!r} was not in {bytes(self.screen)[-2000:]!r}")
                raise
        del self.screen[: found.end()]
        return found

    def wait_for_text(self, kind: str) -> dict[str, Any]:
        """Read until there was a text message of this type, and return it."""
        while not (found := [text for text in self.texts if text["type"] == kind]):
            assert self.read(), f"the connection ended without {kind!r}: {self.texts}"
        return found[-1]

    def rest(self) -> bytes:
        """Read to the end of the connection; returns what was not waited for."""
        while self.read():
            pass
        return bytes(self.screen)

    def read(self) -> bool:
        """Take one message; False when the connection has ended."""
        try:
            message = self._socket.recv(PATIENCE)
        except ConnectionClosed as closed:
            said = closed.rcvd
            self.closed = (said.code, said.reason) if said is not None else (1006, "")
            return False
        self.frames += 1
        if isinstance(message, str):
            self.texts.append(json.loads(message))
        else:
            self._take(message)
        return True

    def _take(self, message: bytes) -> None:
        match message[0]:
            case 1:
                self.screen += message[1:]
                self.offset += len(message) - 1
            case 2:
                self.errors += message[1:]
                self.offset += len(message) - 1
            case 3:
                self.replay = (int.from_bytes(message[1:9], "big"), message[9:])
                self.screen += message[9:]
                self.offset = self.replay[0] + len(message) - 9
            case kind:
                raise AssertionError(f"a binary message of kind {kind}")


def new_terminal(client: httpx.Client, **body: object) -> str:
    """The id of a new terminal."""
    answer = client.post("/pty", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session_id"])
