"""iopub for one subscriber that may go, and come again as another: what is said meanwhile is kept for it.

A socket without a subscriber drops what it is given. Here that waits, as it does in a pipe: some of it in memory, and
what is more makes the code wait that says it. Before the first subscriber nothing is kept.
"""

import os
from collections import deque
from typing import Any

import zmq
from ipykernel import iostream

MOST_KEPT = 16 * 1024 * 1024
"""Bytes that are kept before who says more has to wait."""


class IOPubThread(iostream.IOPubThread):
    """ipykernel's thread. With a version of it whose socket does not tell of subscribers, nothing is kept."""

    _subscribed = False
    _was_heard = False

    def __init__(self, *args: Any, **options: Any) -> None:
        self._kept: deque[tuple[list[Any], tuple[Any, ...], dict[str, Any]]] = deque()
        self._size = 0
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]

    def _handle_subscription(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._count(frame)
        super()._handle_subscription(frames)  # type: ignore[no-untyped-call]
        if self._subscribed:
            self._hand_over()

    def _count(self, frame: bytes) -> None:
        if frame[:1] == b"\x01":
            self._subscribed = True
            self._was_heard = True
        elif frame[:1] == b"\x00":
            self._subscribed = False

    def _really_send(self, msg: list[Any], *args: Any, **options: Any) -> None:
        if not self._is_ours():
            super()._really_send(msg, *args, **options)  # type: ignore[no-untyped-call]
            return
        self._look()
        if self._subscribed or not self._was_heard:
            super()._really_send(msg, *args, **options)  # type: ignore[no-untyped-call]
            return
        self._kept.append((msg, args, options))
        self._size += sum(len(memoryview(part)) for part in map(_bytes, msg))
        while self._must_wait():
            self._look(wait=True)

    def _must_wait(self) -> bool:
        return self._size > MOST_KEPT and not (self._subscribed or self._stopped)

    def _is_ours(self) -> bool:
        stream: Any = getattr(self, "_xpub_stream", None)
        socket: Any = self.socket
        return None not in (stream, socket) and os.getpid() == self._master_pid

    def _look(self, *, wait: bool = False) -> None:
        """Take note of subscribers that have come or gone."""
        socket = self.socket
        if wait:
            socket.poll(100)
        while socket.get(zmq.EVENTS) & zmq.POLLIN:
            self._handle_subscription(socket.recv_multipart(zmq.NOBLOCK))

    def _hand_over(self) -> None:
        while self._kept:
            msg, args, options = self._kept.popleft()
            super()._really_send(msg, *args, **options)  # type: ignore[no-untyped-call]
        self._size = 0


def _bytes(part: Any) -> Any:
    return part.buffer if isinstance(part, zmq.Frame) else part
