"""The ZMQ sockets to one kernel, read from the event loop without a thread, a poll or a cancelled read.

A ZMQ socket's file descriptor is edge-triggered: it becomes readable once, and then the socket must be drained, and
looked at again after every send (http://api.zeromq.org/4-3:zmq-getsockopt, ZMQ_FD and ZMQ_EVENTS). A drain stops
after a while and continues in the loop's next turn, so that one loud kernel leaves room for the others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import structlog
import zmq

from execd.kernel.connection import Connection, address_of
from execd.kernel.messages import Codec, MalformedMessage, Message

_MESSAGES_PER_TURN = 64
_RECONNECT_MS = 10
# Messages of output, of up to 1 MiB each, that ZMQ takes in before they are read here: with more, a loud kernel fills
# the service's memory.
_OUTPUT_AHEAD = 16

log = structlog.get_logger(__name__)

Deliver = Callable[[Message], None]


class Channel:
    """One socket to a kernel. `deliver` is called in the event loop for each message, in order.

    A message that `deliver` raises over is logged and passed over.
    """

    def __init__(self, socket: zmq.Socket[bytes], codec: Codec, deliver: Deliver, held: int = -1) -> None:
        """`held` is a descriptor that is closed with the socket."""
        self._socket = socket
        self._held = held
        self._codec = codec
        self._deliver = deliver
        self._on_hold = False
        self._loop = asyncio.get_running_loop()
        self._fd: int = socket.FD
        self._loop.add_reader(self._fd, self.drain)
        self._loop.call_soon(self.drain)

    def send(
        self, msg_type: str, content: dict[str, object], msg_id: str = "", metadata: dict[str, object] | None = None
    ) -> str:
        """Send a request; returns its msg_id, a new one where none is given. Never blocks: the queue has no limit on
        this side."""
        msg_id, frames = self._codec.pack(msg_type, content, msg_id, metadata)
        self._socket.send_multipart(frames, zmq.NOBLOCK)
        self._loop.call_soon(self.drain)
        return msg_id

    def drain(self) -> bool:
        """Deliver what has arrived, up to a bound a turn. Returns whether there was anything."""
        for count in range(_MESSAGES_PER_TURN):
            if self._socket.closed or self._on_hold:
                return False
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return count > 0
            self._deliver_frames(frames)
        self._loop.call_soon(self.drain)
        return True

    def hold(self) -> None:
        """Deliver nothing until `go_on`: who sends must wait once the socket's queues are full."""
        if not (self._on_hold or self._socket.closed):
            self._on_hold = True
            self._loop.remove_reader(self._fd)

    def go_on(self) -> None:
        """Deliver again, from the loop's next turn on."""
        if self._on_hold and not self._socket.closed:
            self._loop.add_reader(self._fd, self.drain)
            self._loop.call_soon(self.drain)
        self._on_hold = False

    def close(self) -> None:
        """Close the socket; nothing is delivered after. Safe to call twice."""
        if not self._socket.closed:
            self._loop.remove_reader(self._fd)
            self._socket.close(linger=0)
            if self._held >= 0:
                os.close(self._held)

    def _deliver_frames(self, frames: list[bytes]) -> None:
        try:
            self._deliver(self._codec.unpack(frames))
        except MalformedMessage as error:
            log.warning("kernel_message_malformed", why=str(error))
        except Exception:
            # Whatever one message does, those behind it must be read: the descriptor does not tell of them again.
            log.exception("kernel_message_broke")


class Channels:
    """The shell, iopub, stdin and control channels of one kernel, which has bound them. There is no heartbeat: who
    started it tells of its death."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], connection: Connection, deliver: Deliver) -> None:
        """Connect. Raises OSError."""
        codec = Codec(connection.key)
        self._all: list[Channel] = []

        def connect(name: str, kind: int) -> Channel:
            held = connection.open_socket(name)
            socket = context.socket(kind)
            socket.linger = 0
            socket.sndhwm = 0
            socket.reconnect_ivl = _RECONNECT_MS
            if kind == zmq.SUB:
                socket.rcvhwm = _OUTPUT_AHEAD
                socket.subscribe(b"")
            else:
                socket.identity = connection.identity
            socket.connect(address_of(held))
            self._all.append(Channel(socket, codec, deliver, held))
            return self._all[-1]

        try:
            self.iopub = connect("iopub", zmq.SUB)
            self.shell = connect("shell", zmq.DEALER)
            self.stdin = connect("stdin", zmq.DEALER)
            self.control = connect("control", zmq.DEALER)
        except BaseException:
            self.close()
            raise

    def drain(self) -> bool:
        """Deliver whatever has arrived on any channel. Returns whether there was anything."""
        drained = [channel.drain() for channel in self._all]
        return any(drained)

    def close(self) -> None:
        """Close every socket. Safe to call twice."""
        for channel in self._all:
            channel.close()
