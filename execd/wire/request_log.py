"""Every request has an id, which every answer carries and every log line of it shows."""

from __future__ import annotations

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from execd.identifiers import new_id
from execd.wire.fallbacks import defect

REQUEST_ID_HEADER = "X-Request-ID"

_ACCEPTABLE = re.compile(r"[!-~]{1,128}")

log = structlog.get_logger(__name__)


def request_id(given: str) -> str:
    """The id that the client gave, if it is 1 to 128 printable ASCII characters, or else a new one."""
    return given if _ACCEPTABLE.fullmatch(given) else new_id("req")


class RequestLog:
    """ASGI middleware: echoes or makes the request's id, binds it to the log, and logs how the request ended.

    What broke on the way is answered with 500.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, logged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = request_id(Headers(scope=scope).get(REQUEST_ID_HEADER, ""))
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = identity
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


def _log_end(scope: Scope, status: int, seconds: float) -> None:
    level = log.debug if scope["path"] == "/ping" else log.info
    level("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))
