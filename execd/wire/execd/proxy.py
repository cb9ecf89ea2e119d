"""/proxy/{port}/…: requests of any method and WebSockets, handed on to a program that listens on 127.0.0.1.

Nothing is buffered: bodies pass in both directions at once, as fast as the slower side takes them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from execd.errors import ExecdError, InvalidPort, PortUnreachable
from execd.service.proxy import Proxy, Target
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.proxied import raw, refusal, route_of, target_of
from execd.wire.execd.proxied_websocket import proxied_websocket
from execd.wire.forwarding import Route, request_headers, response_headers
from execd.wire.operation import Passage
from execd.wire.state import enter

log = structlog.get_logger(__name__)


class HttpProxy:
    """Hands requests of any method on, and their answers back. An ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        connection = HTTPConnection(scope)
        try:
            sandbox = await enter(connection)
            target = target_of(connection, sandbox.proxy)
            with sandbox.visited():
                await Exchange(connection, receive, send).carry_out(sandbox.proxy, target)
        except ExecdError as error:
            await refusal(error)(scope, receive, send)


class Exchange:
    """One HTTP request on its way to a program, and the answer on its way back."""

    def __init__(self, connection: HTTPConnection, receive: Receive, send: Send) -> None:
        self._connection = connection
        self._receive = receive
        self._send = send
        self._begun = False

    async def carry_out(self, proxy: Proxy, target: Target) -> None:
        """Do it. Raises PortUnreachable as long as the client has been sent nothing; when the program breaks off in
        the middle, the client's connection does too."""
        sending, feeding = anyio.create_memory_object_stream[bytes](0)
        failure: PortUnreachable | None = None
        async with anyio.create_task_group() as group, sending, feeding:
            group.start_soon(self._pump, sending, group.cancel_scope)
            try:
                await self._relay(proxy, target, feeding)
            except PortUnreachable as error:
                failure = error
            except aiohttp.ClientError as error:
                log.warning("proxied_answer_broke_off", port=target.port, why=str(error))
            group.cancel_scope.cancel()
        if failure is not None and not self._begun:
            raise failure

    async def _pump(self, sending: MemoryObjectSendStream[bytes], scope: anyio.CancelScope) -> None:
        """The client's body into the stream; then, or in its middle, wait for the client to hang up."""
        more = True
        while (message := await self._receive())["type"] == "http.request":
            if more and message.get("body"):
                try:
                    await sending.send(message["body"])
                except anyio.BrokenResourceError:
                    more = False
            if more and not message.get("more_body", False):
                more = False
                sending.close()
        scope.cancel()

    async def _relay(self, proxy: Proxy, target: Target, feeding: MemoryObjectReceiveStream[bytes]) -> None:
        headers = self._connection.headers
        route = route_of(self._connection, target)
        given = request_headers(headers.items(), route)
        body = _chunks(feeding) if "content-length" in headers or "transfer-encoding" in headers else None
        async with proxy.request(self._connection.scope["method"], target, given, body) as answer:
            await self._begin(answer, route)
            async for chunk in answer.content.iter_any():
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, answer: aiohttp.ClientResponse, route: Route) -> None:
        given = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers]
        self._begun = True
        await self._send(
            {
                "type": "http.response.start",
                "status": answer.status,
                "headers": raw(response_headers(given, route)),
            }
        )


async def _chunks(body: MemoryObjectReceiveStream[bytes]) -> AsyncIterator[bytes]:
    async for chunk in body:
        yield chunk


PASSAGES = (
    Passage(
        "/proxy/{port}/{path:path}",
        "Reach a program's port",
        "Requests of any method, and WebSockets, are handed on to 127.0.0.1:{port}; refusals are plain text.",
        EXECD_ERRORS,
        proxied_websocket,
        http=HttpProxy(),
        errors=(InvalidPort, PortUnreachable),
    ),
)
