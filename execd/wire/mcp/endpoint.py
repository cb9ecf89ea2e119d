"""/mcp: requests read, told apart, and handed to who serves them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from execd.errors import (
    BodyTooLarge,
    InvalidRequest,
    NotFound,
    PackageMissing,
    ScopeMissing,
    ShuttingDown,
    WrongContentType,
)
from execd.service.caller import Scope as KeyScope
from execd.service.caller import tenant
from execd.wire.body import read_bytes
from execd.wire.mcp.errors import MCP_ERRORS, SESSION_NOT_FOUND
from execd.wire.mcp.gateway import Gateway
from execd.wire.mcp.routing import Route, accepts, route
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandboxes_of

_SESSION_GONE = "there is no such session, or not any more: send initialize without Mcp-Session-Id to begin one"


async def post_mcp(request: Request) -> Response:
    """A message of a client."""
    body = await read_bytes(request, sandboxes_of(request).settings.max_body)
    return await _handed_on(request, body)


async def get_mcp(request: Request) -> Response:
    """A stream of messages to a client."""
    return await _handed_on(request, b"")


async def delete_mcp(request: Request) -> Response:
    """The end of a session."""
    return await _handed_on(request, b"")


async def _handed_on(request: Request, body: bytes) -> Response:
    found = route(request.method, request.headers, body)
    gateway = gateway_of(request)
    manager = await gateway.manager(found)
    if manager is None:
        return JSONResponse(MCP_ERRORS.body(SESSION_NOT_FOUND, _SESSION_GONE), SESSION_NOT_FOUND.status)
    _call_off(gateway, found)
    return Handed(manager.handle_request, body, accepts(request.headers))


def _call_off(gateway: Gateway, found: Route) -> None:
    # Before it is cut short, so that it knows why.
    if found.session_id is not None and found.cancels is not None:
        gateway.calls.call_off((tenant(), found.session_id, found.cancels))


def gateway_of(request: Request) -> Gateway:
    """What stands behind /mcp."""
    gateway: Gateway = request.state.mcp
    return gateway


class Handed(Response):
    """The answer that another application gives to a request whose body has been read."""

    def __init__(self, app: ASGIApp, body: bytes, accept: str) -> None:
        super().__init__()
        self._app = app
        self._read = body
        self._accept = accept.encode("latin-1")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on."""
        told = False

        async def receive_again() -> Message:
            nonlocal told
            if told:
                return await receive()
            told = True
            return {"type": "http.request", "body": self._read, "more_body": False}

        headers: list[Any] = [(name, value) for name, value in scope["headers"] if name != b"accept"]
        await self._app({**scope, "headers": [*headers, (b"accept", self._accept)]}, receive_again, send)


_PARAMETERS = (
    Parameter("Mcp-Session-Id", "The session that it belongs to; none: it is complete in itself.", place="header"),
    Parameter("MCP-Protocol-Version", "The revision of the protocol that is spoken.", place="header"),
    Parameter("structured", "false: tools answer without structured content.", type="boolean"),
)
_ERRORS = (NotFound, ScopeMissing, PackageMissing, ShuttingDown)

OPERATIONS = (
    Operation(
        "POST",
        "/mcp",
        post_mcp,
        "Send a message of the Model Context Protocol",
        "MCP",
        MCP_ERRORS,
        Answer("What it is answered with: JSON, or a stream of messages", media_type="text/event-stream"),
        parameters=_PARAMETERS,
        errors=(InvalidRequest, BodyTooLarge, WrongContentType, *_ERRORS),
        headers={"Mcp-Session-Id": "The session that `initialize` has begun."},
        scope=KeyScope.READ,
    ),
    Operation(
        "GET",
        "/mcp",
        get_mcp,
        "Listen to messages of the Model Context Protocol that answer nothing",
        "MCP",
        MCP_ERRORS,
        Answer("Messages, as they come", media_type="text/event-stream"),
        parameters=_PARAMETERS,
        errors=_ERRORS,
        scope=KeyScope.READ,
    ),
    Operation(
        "DELETE",
        "/mcp",
        delete_mcp,
        "End a session of the Model Context Protocol",
        "MCP",
        MCP_ERRORS,
        Answer("It is over"),
        parameters=_PARAMETERS,
        errors=_ERRORS,
        scope=KeyScope.READ,
    ),
)
