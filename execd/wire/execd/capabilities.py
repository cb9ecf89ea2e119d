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
    guarantees: list[str] = Field(description="What holds for every sandbox, a sentence each.")
    not_covered: list[str] = Field(description="What the walls do not keep from happening, a sentence each.")
    own_users: bool = Field(description="Whether each sandbox is a user of the machine of its own.")
    limits: dict[str, str] = Field(
        description="What holds each limit: a control group (cgroup v1, cgroup v2), rlimit (for each process, but for "
        "the number of processes), tmpfs (memory of that size), or none."
    )
    networks: list[str] = Field(description="What a sandbox may ask of the network: none, proxy, full.")
    pause: bool = Field(description="Whether sandboxes can be paused.")
    volumes: bool = Field(description="Whether sandboxes can have volumes.")
    languages: list[str] = Field(description="The languages that contexts can be in.")
    packages: str = Field(description="Where that goes which a sandbox installs with pip.")
    max_sandboxes: int


async def get_capabilities(request: Request) -> Response:
    """What the places are that sandboxes are made in."""
    sandboxes = sandboxes_of(request)
    known = sandboxes.capabilities
    body = ServiceCapabilities(
        mode=known.mode,
        guarantees=list(known.guarantees),
        not_covered=list(known.not_covered),
        own_users=known.own_users,
        limits=dict(known.limits),
        networks=list(known.networks),
        pause=known.freeze,
        volumes=known.volumes and sandboxes.settings.volume_root is not None,
        languages=sandboxes.languages,
        packages=known.packages,
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
