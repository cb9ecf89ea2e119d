"""Every request has an id, which every answer carries and every log line of it shows."""

from __future__ import annotations

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from execd.identifiers import new_id
from execd.service.meters import Meters
from execd.wire.fallbacks import defect

REQUEST_ID_HEADER = "X-Request-ID"

_ACCEPTABLE = re.compile(r"[!-~]{1,128}")

log = structlog.get_logger(__name__)


def request_id(given: str) -> str:
    """The id that the client gave, if it is 1 to 128 printable ASCII characters, or else a new one."""
    return given if _ACCEPTABLE.fullmatch(given) else new_id("req")


def current_request_id() -> str | None:
    """The id of the request that is being served here, None for a WebSocket."""
    found = structlog.contextvars.get_contextvars().get("request_id")
    return found if isinstance(found, str) else None


class RequestLog:
    """ASGI middleware: echoes or makes the request's id, binds it to the log, logs and counts how the request ended.

    What broke on the way is answered with 500.
    """

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, logged."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        identity = request_id(Headers(scope=scope).get(REQUEST_ID_HEADER, ""))
        if scope["type"] == "websocket":
            await self._serve_websocket(identity, scope, receive, send)
            return
        started = time.monotonic()
        status = 0
        streams = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = identity
                streams = headers.get("content-type", "").startswith("text/event-stream")
            elif streams:
                self._meters.bytes_streamed(len(message.get("body", b"")))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identity):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception as error:
                # Answered here and not further out, so that the answer and the log carry the id.
                answer = await defect(Request(scope), error)
                if status:
                    raise
                await answer(scope, receive, send_with_id)
            finally:
                _log_end(scope, status, time.monotonic() - started)
                self._count_end(scope, status)

    async def _serve_websocket(self, identity: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_id(message: Message) -> None:
            if message["type"] in ("websocket.accept", "websocket.http.response.start"):
                message["headers"] = [
                    *message.get("headers", ()),
                    (REQUEST_ID_HEADER.lower().encode(), identity.encode()),
                ]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identity):
            await self._app(scope, receive, send_with_id)

    def _count_end(self, scope: Scope, status: int) -> None:
        # No status: the client went away before there was one.
        if status:
            self._meters.request_answered(getattr(scope.get("route"), "path", ""), scope["method"], status)


def _log_end(scope: Scope, status: int, seconds: float) -> None:
    level = log.debug if scope["path"] == "/ping" else log.info
    level("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))
