"""Answers to what no operation serves, in the one shape that errors have: unknown routes, wrong methods, defects."""

from __future__ import annotations

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ExceptionHandler

log = structlog.get_logger(__name__)


async def no_operation(request: Request, error: Exception) -> Response:
    """404 and 405 of the router."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        body = {"code": "METHOD_NOT_ALLOWED", "message": f"{request.method} is not allowed here; use {allowed}"}
    else:
        message = f"there is nothing at {request.method} {request.url.path}; GET /openapi.json lists what there is"
        body = {"code": "NOT_FOUND", "message": message}
    return JSONResponse(body, error.status_code, error.headers)


async def defect(request: Request, error: Exception) -> Response:
    """500 for what should not have happened."""
    log.error("request_broke", path=request.url.path, exc_info=error)
    return JSONResponse({"code": "UNKNOWN", "message": "execd failed to serve this request; its log says why"}, 500)


FALLBACKS: dict[int | type[Exception], ExceptionHandler] = {HTTPException: no_operation}
