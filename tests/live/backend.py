"""A program behind the proxy: a small HTTP and WebSocket server in a process of its own, started by a test.

It writes HTTP by hand, so that a test decides on every byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

MIB = 1024 * 1024


class Exchange:
    """One request: its head is read, its body comes with `chunks`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.method = self.target = ""
        self.headers: list[tuple[str, str]] = []

    async def read_head(self) -> None:
        """Read it."""
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        self.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]

    def header(self, name: str) -> str:
        """A header's value, or nothing."""
        return next((value for given, value in self.headers if given.lower() == name), "")

    async def read(self) -> bytes:
        """A piece of the body, b"" at its end."""
        if self.header("transfer-encoding"):
            size = int(await self._reader.readline(), 16)
            piece = await self._reader.readexactly(size)
            await self._reader.readline()
            return piece
        self._left = getattr(self, "_left", int(self.header("content-length") or 0))
        piece = await self._reader.read(min(self._left, 65536))
        self._left -= len(piece)
        return piece

    async def body(self) -> bytes:
        """All of it."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def begin(self, status: int = 200, *headers: str) -> None:
        """Begin an answer."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, "Connection: close", "", ""]
        self.writer.write("\r\n".join(lines).encode("latin-1"))

    async def chunk(self, piece: bytes) -> None:
        """A chunk of a chunked answer; the empty one ends it."""
        self.writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def answer(self, body: bytes, status: int = 200, *headers: str) -> None:
        """A whole answer."""
        self.begin(status, f"Content-Length: {len(body)}", *headers)
        self.writer.write(body)
        await self.writer.drain()


async def echo(exchange: Exchange) -> None:
    """What came, as JSON."""
    body = await exchange.body()
    shown = {
        "method": exchange.method,
        "target": exchange.target,
        "headers": exchange.headers,
        "body": body.decode("latin-1"),
    }
    text = json.dumps(shown).encode()
    extra = ("Set-Cookie: a=1; Path=/", "Set-Cookie: b=2", "X-Own: 1", "Keep-Alive: timeout=5")
    await exchange.answer(b"" if exchange.method == "HEAD" else text, 200, "Content-Type: application/json", *extra)


async def mirror(exchange: Exchange) -> None:
    """The body back while it still comes."""
    exchange.begin(200, "Transfer-Encoding: chunked")
    while piece := await exchange.read():
        await exchange.chunk(piece)
    await exchange.chunk(b"")


async def upload(exchange: Exchange) -> None:
    """How much came, and its digest."""
    digest, size = hashlib.sha256(), 0
    while piece := await exchange.read():
        digest.update(piece)
        size += len(piece)
    await exchange.answer(f"{size} {digest.hexdigest()}".encode())


async def download(exchange: Exchange) -> None:
    """So many MiB."""
    count = int(exchange.target.rpartition("=")[2])
    exchange.begin(200, f"Content-Length: {count * MIB}")
    for number in range(count):
        exchange.writer.write(bytes([number % 256]) * MIB)
        await exchange.writer.drain()


async def events(exchange: Exchange) -> None:
    """An event now, the next when a file tells so."""
    exchange.begin(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    await exchange.chunk(b"data: first\n\n")
    fifo = exchange.target.rpartition("=")[2]
    await asyncio.to_thread(Path(fifo).read_text)
    await exchange.chunk(b"data: second\n\n")
    await exchange.chunk(b"")


async def until_gone(exchange: Exchange) -> None:
    """Say so when the client has gone."""
    exchange.begin(200, "Transfer-Encoding: chunked")
    await exchange.chunk(b"waiting")
    await exchange.read()
    fifo = exchange.target.rpartition("=")[2]
    await asyncio.to_thread(Path(fifo).write_text, "gone")


async def die(exchange: Exchange) -> None:
    """Half an answer, and the end of the process."""
    exchange.begin(200, "Content-Length: 1000000")
    exchange.writer.write(b"x" * 1000)
    await exchange.writer.drain()
    os._exit(1)


async def hang_up(exchange: Exchange) -> None:
    """Half an answer, in a way that could pass for a whole one."""
    exchange.begin(200, "Transfer-Encoding: chunked")
    await exchange.chunk(b"half")


async def nothing(exchange: Exchange) -> None:
    """No answer at all."""


async def garbage(exchange: Exchange) -> None:
    """No HTTP."""
    exchange.writer.write(b"SSH-2.0-something\r\n")


async def early(exchange: Exchange) -> None:
    """An answer before the body."""
    await exchange.answer(b"too much", 413)


async def move(exchange: Exchange) -> None:
    """A redirect."""
    await exchange.answer(b"", 302, f"Location: {exchange.target.partition('=')[2]}")


async def packed(exchange: Exchange) -> None:
    """An answer whose encoding is nobody's business in between."""
    await exchange.answer(b"\x1f\x8bnot really", 200, "Content-Encoding: gzip")


ROUTES = {
    "/mirror": mirror,
    "/upload": upload,
    "/download": download,
    "/events": events,
    "/until-gone": until_gone,
    "/die": die,
    "/hang-up": hang_up,
    "/nothing": nothing,
    "/garbage": garbage,
    "/early": early,
    "/move": move,
    "/packed": packed,
}


async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request a connection."""
    exchange = Exchange(reader, writer)
    await exchange.read_head()
    await ROUTES.get(exchange.target.partition("?")[0], echo)(exchange)
    writer.close()


async def obey(connection: ServerConnection) -> None:
    """Echo; some messages are orders."""
    async for message in connection:
        if message == "close":
            await connection.close(4321, "as you wish")
        elif message == "drop":
            connection.transport.abort()
        elif message == "flood":
            for number in range(1000):
                await connection.send(bytes([number % 256]) * 65536)
        else:
            await connection.send(message)


async def serve_websocket(connection: ServerConnection) -> None:
    """Say who came, then do as told, and at last tell how the client closed."""
    assert connection.request is not None
    headers = list(connection.request.headers.raw_items())
    await connection.send(json.dumps({"path": connection.request.path, "headers": headers}))
    with contextlib.suppress(ConnectionClosedError):
        await obey(connection)
    fifo = connection.request.path.partition("?fifo=")[2]
    if fifo:
        said = f"{connection.close_code} {connection.close_reason}"
        await asyncio.to_thread(Path(fifo).write_text, said)


def handshake(connection: ServerConnection, request: Request) -> Response | None:
    """Two ways not to be let in."""
    if request.path == "/forbidden":
        return connection.respond(HTTPStatus.FORBIDDEN, "not you\n")
    if request.path == "/moved":
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = "/elsewhere"
        return response
    return None


def select(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The second, if it is offered."""
    return Subprotocol("two") if "two" in offered else None


async def main() -> None:
    """Serve both until the process is ended; the ports are the first line of output."""
    server = await asyncio.start_server(serve_http, "127.0.0.1", 0)
    async with serve(
        serve_websocket, "127.0.0.1", 0, process_request=handshake, select_subprotocol=select, max_size=None
    ) as sockets:
        ports = [server.sockets[0].getsockname()[1], next(iter(sockets.sockets)).getsockname()[1]]
        sys.stdout.write("{} {}\n".format(*ports))
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
