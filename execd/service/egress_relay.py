"""Bytes between two connections, in both directions, no faster than the slower side reads."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

_NO_LINGER = struct.pack("ii", 1, 0)


async def relay(client: SocketStream, upstream: SocketStream, first: bytes, idle: float) -> None:
    """Hand `first` to upstream, and then on what each side sends, until both have sent their last byte; one that has
    may go on reading. Raises BrokenResourceError when one has gone, and TimeoutError when nothing has moved in either
    direction for `idle` seconds."""
    broken = False
    with anyio.CancelScope() as scope:

        def stir() -> None:
            scope.deadline = anyio.current_time() + idle

        async def pump(source: SocketStream, sink: SocketStream, first: bytes = b"") -> None:
            nonlocal broken
            try:
                if first:
                    await sink.send(first)
                async for chunk in source:
                    stir()
                    await sink.send(chunk)
                    stir()
                await sink.send_eof()
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                broken = True
                scope.cancel()

        stir()
        async with anyio.create_task_group() as group:
            group.start_soon(pump, client, upstream, first)
            group.start_soon(pump, upstream, client)
    if broken:
        raise anyio.BrokenResourceError
    if scope.cancelled_caught:
        raise TimeoutError


def abort(stream: SocketStream) -> None:
    """Let the other end see, when the stream is closed, that it was cut off."""
    with suppress(OSError):
        stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
