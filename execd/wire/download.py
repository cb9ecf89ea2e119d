"""The answer that is a file's content, read piece by piece as the client takes it.

Before a header is sent the size is known to be true, or none is given. A file that gets shorter while it is sent ends
the connection: the client can see that this was not all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import quote

import anyio
import structlog
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from execd.errors import ExecdError
from execd.isolation.shown import shown
from execd.service.downloads import READ_BYTES, ByteRange, OpenFile
from execd.service.lines import LineWindow

log = structlog.get_logger(__name__)

_SCAN_BYTES = 16 * 1024 * 1024

Pieces = AsyncIterator[bytes | memoryview]
Result = TypeVar("Result")


class Threads(Protocol):
    """Where blocking work is done."""

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do it."""


class FileBecameShorter(Exception):
    """The file ended before the range that was promised."""


class Download(Response):
    """Sends what `pieces` yields, stops when the client is gone, and closes the file whatever happens."""

    def __init__(self, opened: OpenFile, pieces: Pieces, status: int, headers: Mapping[str, str]) -> None:
        self._opened = opened
        self._pieces = pieces
        self.status_code = status
        self.background = None
        self.init_headers(headers)
        if "Content-Length" not in headers:
            del MutableHeaders(raw=self.raw_headers)["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer."""
        try:
            start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            await send(start)
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            async with anyio.create_task_group() as group:
                group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
                await self._send_pieces(send)
                group.cancel_scope.cancel()
        finally:
            self._opened.close()

    async def _send_pieces(self, send: Send) -> None:
        try:
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except (ExecdError, FileBecameShorter) as error:
            # Without an end of the body the server closes the connection.
            log.warning("download_broke", path=shown(self._opened.path), why=str(error))
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def read(files: Threads, opened: OpenFile, offset: int, most: int) -> bytes | memoryview:
    """Bytes of the file: at once if they are in memory, or else by way of a thread."""
    found = opened.read_cached(offset, most)
    return found if found is not None else await files.run(partial(opened.read, offset, most))


async def byte_pieces(files: Threads, opened: OpenFile, wanted: ByteRange) -> Pieces:
    """The bytes of a range. Raises FileBecameShorter when they are no longer there."""
    offset, left = wanted.first, wanted.size
    while left:
        piece = await read(files, opened, offset, min(left, READ_BYTES))
        if not piece:
            raise FileBecameShorter(f"it ended at {offset}, {left} bytes early")
        yield piece
        offset += len(piece)
        left -= len(piece)


async def pieces_to_end(files: Threads, opened: OpenFile) -> Pieces:
    """All bytes of a file that does not tell its true size, as those of /proc and /sys do not."""
    offset = 0
    while piece := await read(files, opened, offset, READ_BYTES):
        yield piece
        offset += len(piece)


async def line_pieces(files: Threads, opened: OpenFile, window: LineWindow) -> Pieces:
    """The bytes of a window of lines."""
    offset = 0
    while not window.done:
        piece, offset, ended = await files.run(partial(_next_lines, opened, window, offset))
        if piece:
            yield piece
        if ended:
            return


def _next_lines(opened: OpenFile, window: LineWindow, offset: int) -> tuple[bytes, int, bool]:
    last = offset + _SCAN_BYTES
    while offset < last and not window.done:
        block = opened.read(offset, READ_BYTES)
        if not block:
            return b"", offset, True
        offset += len(block)
        if piece := window.feed(block):
            return piece, offset, False
    return b"", offset, False


def content_disposition(name: str, how: str = "attachment") -> str:
    """The header that names a download, or with `inline` what is shown (RFC 6266): plain where the name is ASCII, or
    else as RFC 5987 encodes it, with an approximation for clients that do not know that."""
    plain = "".join(character if " " <= character <= "~" else "_" for character in name)
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    if plain == name:
        return f'{how}; filename="{quoted}"'
    encoded = quote(name, safe="!#$&+-.^_`|~")
    return f"{how}; filename=\"{quoted}\"; filename*=UTF-8''{encoded}"
