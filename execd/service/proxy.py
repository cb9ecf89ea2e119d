"""The way to the ports of programs that run in a sandbox: HTTP and WebSocket clients for 127.0.0.1, over sockets of
the network that the sandbox has.

Every request has a connection of its own: nothing of one request can be left over for the next.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import anyio
from multidict import CIMultiDict
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response as HandshakeResponse
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI
from yarl import URL

from execd.errors import InvalidPort, PortUnreachable

HOST = "127.0.0.1"

# The largest WebSocket message that is handed on, either way: each is held in memory whole.
MOST_MESSAGE = 64 * 1024 * 1024

_HEADER_LIMIT = 64 * 1024
_HANDSHAKE_PATIENCE = 60.0
_CLOSE_PATIENCE = 5.0

Headers = Sequence[tuple[str, str]]
MakeSocket = Callable[[int], socket.socket]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: `path` starts with a slash, and it and `query` are percent-encoded already."""

    port: int
    path: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """The program answered a WebSocket handshake with something else than yes."""

    response: HandshakeResponse


def machine_socket(family: int = socket.AF_INET) -> socket.socket:
    """A TCP socket of the machine's network."""
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


class Proxy:
    """Reaches ports, by sockets that `make_socket` makes. `own_port` is the service's where it is in the same network;
    it is refused, for a request to it would go in circles. To be made in the event loop; `close` must be called."""

    def __init__(self, own_port: int, make_socket: MakeSocket = machine_socket) -> None:
        self._own_port = own_port
        self._make_socket = make_socket
        connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=lambda found: make_socket(found[0]))
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, own_port: int) -> AsyncIterator[Proxy]:
        """A proxy while the block runs."""
        proxy = cls(own_port)
        try:
            yield proxy
        finally:
            await proxy.close()

    async def close(self) -> None:
        """Close every connection. Safe to call twice."""
        await self._session.close()

    def port(self, given: str) -> int:
        """The port that is meant. Raises InvalidPort."""
        if not (given.isascii() and given.isdigit() and 1 <= int(given[:6]) <= 65535 and len(given) < 6):
            raise InvalidPort(given, "expected a number from 1 to 65535")
        if int(given) == self._own_port:
            raise InvalidPort(given, "this is the port of execd itself")
        return int(given)

    @asynccontextmanager
    async def request(
        self, method: str, target: Target, headers: Headers, body: AsyncIterator[bytes] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, and give its answer as soon as that begins, even while the body is still being sent. The
        connection is closed on leaving. Raises PortUnreachable."""
        url = URL.build(
            scheme="http", host=HOST, port=target.port, path=target.path, query_string=target.query, encoded=True
        )
        try:
            response = await self._session.request(
                method, url, headers=CIMultiDict(headers), data=body, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PortUnreachable(target.port, _why(error)) from error
        try:
            yield response
        finally:
            response.close()

    @asynccontextmanager
    async def websocket(
        self, target: Target, headers: Iterable[tuple[str, str]], subprotocols: Sequence[str]
    ) -> AsyncIterator[ClientConnection]:
        """A WebSocket to the port, closed on leaving. Raises PortUnreachable, and Refusal when the program answers
        otherwise; redirects are not followed."""
        connection = await self._connect(target, headers, subprotocols)
        try:
            yield connection
        finally:
            connection.transport.abort()

    async def _connect(
        self, target: Target, headers: Iterable[tuple[str, str]], subprotocols: Sequence[str]
    ) -> ClientConnection:
        def connection() -> ClientConnection:
            uri = WebSocketURI(secure=False, host=HOST, port=target.port, path=target.path, query=target.query)
            offered = [Subprotocol(name) for name in subprotocols] or None
            protocol = ClientProtocol(uri, subprotocols=offered, max_size=MOST_MESSAGE)
            # The client's pings are answered in front, the program's here: neither needs ours.
            return ClientConnection(protocol, ping_interval=None, close_timeout=_CLOSE_PATIENCE)

        try:
            transport, made = await asyncio.get_running_loop().create_connection(
                connection, sock=await self._connected(target.port)
            )
        except OSError as error:
            raise PortUnreachable(target.port, _why(error)) from error
        try:
            with anyio.fail_after(_HANDSHAKE_PATIENCE):
                await made.handshake(list(headers), user_agent_header=None)
        except BaseException as error:
            transport.abort()
            if isinstance(error, InvalidStatus):
                raise Refusal(error.response) from error
            if isinstance(error, (OSError, InvalidHandshake, EOFError)):
                raise PortUnreachable(target.port, _why(error)) from error
            raise
        return made

    async def _connected(self, port: int) -> socket.socket:
        made = self._make_socket(socket.AF_INET)
        try:
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, (HOST, port))
        except BaseException:
            made.close()
            raise
        return made


def _why(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused; is the program running, and listening on 127.0.0.1?"
    return str(cause) or type(cause).__name__
