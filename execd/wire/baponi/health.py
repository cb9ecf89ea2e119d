"""GET /health and /ready: whether the service is up, and whether it takes work. Neither needs a key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import ShuttingDown
from execd.wire.baponi.errors import BAPONI_ERRORS
from execd.wire.baponi.schemas import BaponiHealth, BaponiReady
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandboxes_of


async def health(_request: Request) -> Response:
    """Answer."""
    return JSONResponse(BaponiHealth(status="ok").model_dump())


async def ready(request: Request) -> Response:
    """Look at each part, and say which lacks what."""
    lacks = await sandboxes_of(request).readiness()
    checks = {part: why or "ok" for part, why in lacks.items()}
    if not any(lacks.values()):
        return JSONResponse(BaponiReady(status="ready", checks=checks).model_dump())
    missing = "; ".join(f"{part}: {why}" for part, why in lacks.items() if why)
    refusal = {"error": BAPONI_ERRORS.rendering(ShuttingDown).code, "message": missing}
    return JSONResponse({**refusal, **BaponiReady(status="not ready", checks=checks).model_dump()}, 503)


OPERATIONS = (
    Operation(
        "GET",
        "/health",
        health,
        "Whether the service is up",
        "service",
        BAPONI_ERRORS,
        Answer("It is", model=BaponiHealth),
    ),
    Operation(
        "GET",
        "/ready",
        ready,
        "Whether the service takes work",
        "service",
        BAPONI_ERRORS,
        Answer("It does; 503 says which part lacks what", model=BaponiReady),
        errors=(ShuttingDown,),
    ),
)
