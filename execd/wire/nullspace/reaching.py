"""What a sandbox uses, what it may reach, and where its ports are reached."""

from __future__ import annotations

import shutil
from dataclasses import replace

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import InvalidRequest, NotOffered, SandboxExpired, SandboxNotFound, SandboxNotReady
from execd.service.caller import Scope
from execd.service.metrics import Reading
from execd.wire.body import read_model
from execd.wire.nullspace.asking import egress_rules
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.generation import generation_of
from execd.wire.nullspace.schemas import HostBodyOut, MetricsSample, NewEgress, WantedPort
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_id_of, sandbox_of, sandboxes_of
from execd.wire.times import rfc3339

_MIB = 1024 * 1024


async def sandbox_metrics(request: Request) -> Response:
    """One reading."""
    sandbox = sandbox_of(request)
    reading = await sandbox.metrics.read()
    disk = await to_thread.run_sync(shutil.disk_usage, sandbox.place.workspace_folder)
    received, sent = sandbox.place.machine.traffic()
    return JSONResponse([_sample(reading, disk.used, disk.total, received, sent)])


async def set_sandbox_egress(request: Request) -> Response:
    """Change what a sandbox may reach."""
    sandboxes, sandbox_id = sandboxes_of(request), sandbox_id_of(request)
    body = await read_model(request, NewEgress, sandboxes.settings.max_body)
    network = replace(sandboxes.get(sandbox_id).network, rules=egress_rules(body.egress, "egress"))
    sandboxes.set_network(sandbox_id, network)
    return JSONResponse({generation_of(request).id_field: request.path_params["sandbox_id"], **body.model_dump()})


async def sandbox_host(request: Request) -> Response:
    """Where a port is reached; nothing need listen there yet."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, WantedPort, sandboxes.settings.max_body)
    record, generation = sandboxes.get(sandbox_id_of(request)), generation_of(request)
    host = f"{request.headers.get('host', '')}{generation.base}/{generation.id(record.id)}/proxy/{body.port}"
    secure = "s" if request.url.scheme == "https" else ""
    told = HostBodyOut(host=host, url=f"http{secure}://{host}", websocket_url=f"ws{secure}://{host}")
    return JSONResponse(told.model_dump())


def _sample(reading: Reading, disk_used: int, disk_total: int, received: int, sent: int) -> dict[str, object]:
    # Clients of this API take neither more nor fewer fields.
    return MetricsSample(
        timestamp=rfc3339(reading.timestamp),
        cpu_percent=reading.cpu_used_pct,
        cpu_count=max(round(reading.cpu_count), 1),
        mem_used_bytes=round(reading.mem_used_mib * _MIB),
        mem_total_bytes=round(reading.mem_total_mib * _MIB),
        disk_used_bytes=disk_used,
        disk_total_bytes=disk_total,
        network_rx_bytes=received,
        network_tx_bytes=sent,
    ).model_dump()


_ONE = "/{sandbox_id}"
_GONE = (SandboxNotFound, SandboxExpired)

OPERATIONS = (
    Operation(
        "GET",
        f"{_ONE}/metrics",
        sandbox_metrics,
        "What a sandbox uses",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("A list of one reading", model=MetricsSample, many=True),
        errors=(*_GONE, SandboxNotReady),
        enters=True,
    ),
    Operation(
        "PATCH",
        f"{_ONE}/egress",
        set_sandbox_egress,
        "Change what a sandbox may reach",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("What holds now", model=NewEgress),
        body=NewEgress,
        errors=(InvalidRequest, NotOffered, SandboxNotReady, *_GONE),
        scope=Scope.MANAGE,
    ),
    Operation(
        "POST",
        f"{_ONE}/host",
        sandbox_host,
        "Where a port of a sandbox is reached",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("Its address", model=HostBodyOut),
        body=WantedPort,
        errors=(InvalidRequest, *_GONE),
    ),
)
