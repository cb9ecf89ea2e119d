"""Where the ports of sandboxes are reached, and what else OpenSandbox's clients ask of a lifecycle server."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

import execd
from execd.errors import InvalidPort, NotOffered, SandboxNotFound
from execd.wire.dialects import TOKEN_HEADER
from execd.wire.opensandbox.errors import OPENSANDBOX_ERRORS
from execd.wire.opensandbox.schemas import EndpointBody, HealthBody, VersionBody
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import port_number
from execd.wire.state import key_of, sandbox_id_of, sandboxes_of


async def opensandbox_endpoint(request: Request) -> Response:
    """Where a port is reached. Nothing need listen there yet."""
    sandboxes = sandboxes_of(request)
    record = sandboxes.get(sandbox_id_of(request))
    port = port_number(request.path_params["port"])
    if request.query_params.get("expires"):
        raise NotOffered("expires: this service has no endpoints that expire by themselves")
    endpoint = f"{request.headers.get('host', '')}/v1/sandboxes/{record.id}/proxy/{port}"
    by_server = request.query_params.get("use_server_proxy", "").lower() in ("1", "true")
    # What it came with, and never another's. By way of the server, clients send the API key themselves.
    key = key_of(request)
    headers = None if key is None or by_server else {TOKEN_HEADER: key}
    return JSONResponse(EndpointBody(endpoint=endpoint, headers=headers).model_dump(exclude_none=True))


async def opensandbox_metrics_event(_request: Request) -> Response:
    """What a client wants to have measured: taken, and not kept."""
    return Response(status_code=204)


async def opensandbox_health(_request: Request) -> Response:
    """Whether the service answers."""
    return JSONResponse(HealthBody(status="healthy").model_dump())


async def opensandbox_version(_request: Request) -> Response:
    """Which version of execd answers."""
    return JSONResponse(VersionBody(version=execd.__version__).model_dump())


OPERATIONS = (
    Operation(
        "GET",
        "/sandboxes/{sandbox_id}/endpoints/{port}",
        opensandbox_endpoint,
        "Where a port of a sandbox is reached",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("Its address; 44772 is execd for that sandbox", model=EndpointBody),
        parameters=(
            Parameter("use_server_proxy", "Whether the client goes by way of this server.", type="boolean"),
            Parameter("expires", "Refused: there are no endpoints that expire."),
        ),
        errors=(SandboxNotFound, InvalidPort, NotOffered),
    ),
    Operation(
        "POST",
        "/metrics/events",
        opensandbox_metrics_event,
        "Take what a client has measured",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("Taken", status=204),
    ),
    Operation(
        "GET",
        "/health",
        opensandbox_health,
        "Whether the service answers",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("It does", model=HealthBody),
    ),
    Operation(
        "GET",
        "/version",
        opensandbox_version,
        "Which version answers",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("The version", model=VersionBody),
    ),
)
