"""The standard input and output as a line of MCP messages, one a line, that nothing else writes on.

No thread waits for input, so a signal ends the program at once; and what is started by it finds nothing to read, and
writes to the standard error.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

_READ_BYTES = 65536
# A pipe that can be written to takes as much without making anybody wait.
_WRITE_BYTES = select.PIPE_BUF

Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]


@contextmanager
def claimed() -> Iterator[tuple[int, int]]:
    """Descriptors of what were the standard input and output; both are something else while the block runs."""
    wire = (fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3), fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3))
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        yield wire
    finally:
        for given, own in enumerate(wire):
            os.dup2(own, given)
            os.close(own)


@asynccontextmanager
async def messages(wire: tuple[int, int]) -> AsyncIterator[tuple[Incoming, Outgoing]]:
    """The messages that come, until the input is at its end, and those that go."""
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read, wire[0], to_server)
        tasks.start_soon(_write, wire[1], from_server)
        yield incoming, outgoing
        outgoing.close()
        tasks.cancel_scope.cancel()


async def _read(fd: int, to_server: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    held = b""
    async with to_server:
        while block := await _block(fd):
            *lines, held = (held + block).split(b"\n")
            for line in filter(bytes.strip, lines):
                await to_server.send(_message(line))


async def _block(fd: int) -> bytes:
    try:
        await anyio.wait_readable(fd)
    except PermissionError:
        # A file of the disk, which makes nobody wait.
        await anyio.lowlevel.checkpoint()
    return os.read(fd, _READ_BYTES)


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValidationError as error:
        return error


async def _write(fd: int, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async with from_server:
        async for told in from_server:
            left = memoryview(told.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            while left:
                left = left[await _written(fd, left[:_WRITE_BYTES]) :]


async def _written(fd: int, piece: memoryview) -> int:
    try:
        await anyio.wait_writable(fd)
    except PermissionError:
        await anyio.lowlevel.checkpoint()
    return os.write(fd, piece)
