"""GET /v1/capabilities: what the sandboxes of this service are, and what they do not cover."""

from __future__ import annotations

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandboxes_of


class ServiceCapabilities(BaseModel):
    """What walls there are, and what can be asked of a sandbox."""

    mode: str = Field(description="bwrap, landlock or process")
    not_covered: list[str] = Field(description="What the walls do not keep from happening, a sentence each.")
    limits: dict[str, str] = Field(description="The limits that can be set, and what holds each.")
    networks: list[str] = Field(description="What a sandbox may ask of the network: none, proxy, full.")
    pause: bool = Field(description="Whether sandboxes can be paused.")
    volumes: bool = Field(description="Whether sandboxes can have volumes.")
    max_sandboxes: int


async def get_capabilities(request: Request) -> Response:
    """What the places are that sandboxes are made in."""
    sandboxes = sandboxes_of(request)
    known = sandboxes.capabilities
    body = ServiceCapabilities(
        mode=known.mode,
        not_covered=list(known.not_covered),
        limits=dict(known.limits),
        networks=list(known.networks),
        pause=known.freeze,
        volumes=known.volumes and sandboxes.settings.volume_root is not None,
        max_sandboxes=sandboxes.settings.max_sandboxes,
    )
    return JSONResponse(body.model_dump())


OPERATIONS = (
    Operation(
        "GET",
        "/v1/capabilities",
        get_capabilities,
        "What the sandboxes of this service are, and what they do not cover",
        "service",
        EXECD_ERRORS,
        Answer("It", model=ServiceCapabilities),
    ),
)
