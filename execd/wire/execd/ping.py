"""GET /ping: whether the service answers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.operation import Answer, Operation


async def ping(_request: Request) -> Response:
    """Answer, with nothing."""
    return Response()


OPERATIONS = (
    Operation("GET", "/ping", ping, "Whether the service answers", "service", EXECD_ERRORS, Answer("It does")),
)
