"""Answers to what no operation serves, in the form that errors have in the API concerned: unknown routes, wrong
methods, defects."""

from __future__ import annotations

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from execd.wire.dialects import dialect_of

log = structlog.get_logger(__name__)


async def no_operation(request: Request, error: Exception) -> Response:
    """404 and 405 of the router."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        message = f"{request.method} is not allowed here; use {allowed}"
    else:
        message = f"there is nothing at {request.method} {request.url.path}; GET /openapi.json lists what there is"
    return dialect_of(request.scope).answer(error.status_code, message, error.headers)


async def defect(request: Request, error: Exception) -> Response:
    """500 for what should not have happened."""
    log.error("request_broke", path=request.url.path, exc_info=error)
    return dialect_of(request.scope).answer(500, "execd failed to serve this request; its log says why")


FALLBACKS: dict[int | type[Exception], ExceptionHandler] = {HTTPException: no_operation}
