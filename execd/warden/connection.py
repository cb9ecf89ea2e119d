"""One client's end of the warden's socket."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence

from execd.warden.loop import READ, WRITE, Loop
from execd.warden.protocol import Message, Unreadable, close_all, receive, send

_MOST_WAITING = 10_000


class Connection:
    """Messages from and to one client. Nothing that it does or omits makes the warden wait."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_message: Callable[[Connection, Message, list[int]], None],
        on_close: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._on_message = on_message
        self._on_close = on_close
        self._waiting: deque[Message] = deque()
        self.listens = False
        """Whether it wants to hear of what the warden says by itself."""
        self.admitted = False
        """Whether it has shown that it may ask for anything."""
        self.open = True
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._ready)

    def tell(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message, now or when there is room. Descriptors go now, or the client is given up."""
        if not self.open:
            return
        try:
            if not self._waiting:
                send(self._socket, message, fds)
                return
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        self._keep(message, fds)

    def close(self) -> None:
        """Hang up. Safe to call twice."""
        if self.open:
            self.open = False
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._on_close(self)

    def _keep(self, message: Message, fds: Sequence[int]) -> None:
        if fds or len(self._waiting) >= _MOST_WAITING:
            self.close()
            return
        self._waiting.append(message)
        self._loop.want(self._socket.fileno(), READ | WRITE)

    def _ready(self) -> None:
        self._send_waiting()
        while self.open:
            try:
                received = receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, Unreadable):
                received = None
            if received is None:
                self.close()
                return
            message, fds = received
            try:
                self._on_message(self, message, fds)
            finally:
                close_all(fds)

    def _send_waiting(self) -> None:
        while self._waiting and self.open:
            try:
                send(self._socket, self._waiting[0])
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._waiting.popleft()
            if not self._waiting:
                self._loop.want(self._socket.fileno(), READ)
