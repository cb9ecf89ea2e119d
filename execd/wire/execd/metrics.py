"""How busy the machine is: GET /metrics and /metrics/watch. What the service counts: GET /metrics/prometheus."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import NotFound
from execd.service.caller import check_operator
from execd.service.meters import CONTENT_TYPE
from execd.service.metrics import Metrics
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.file_schemas import MetricsBody
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_of, sandboxes_of


async def get_metrics(request: Request) -> Response:
    """One reading."""
    return JSONResponse(asdict(await sandbox_of(request).metrics.read()))


async def watch_metrics(request: Request) -> Response:
    """A reading every two seconds, each a line of JSON: this stream has no SSE framing in this API."""
    return EventSourceResponse(_lines(sandbox_of(request).metrics), ping=0)


async def get_prometheus_metrics(request: Request) -> Response:
    """Everything that is counted, in Prometheus' text format."""
    check_operator()
    return Response(sandboxes_of(request).meters.exposition(), media_type=CONTENT_TYPE)


async def _lines(metrics: Metrics) -> AsyncIterator[bytes]:
    async for reading in metrics.follow():
        yield json.dumps(asdict(reading)).encode() + b"\n"


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        get_metrics,
        "How busy the machine is",
        "metrics",
        EXECD_ERRORS,
        Answer("A reading", model=MetricsBody),
    ),
    Operation(
        "GET",
        "/metrics/watch",
        watch_metrics,
        "How busy the machine is, every two seconds",
        "metrics",
        EXECD_ERRORS,
        Answer("Readings, each a line of JSON", media_type="text/event-stream"),
    ),
    Operation(
        "GET",
        "/metrics/prometheus",
        get_prometheus_metrics,
        "What the service counts about itself, for Prometheus",
        "metrics",
        EXECD_ERRORS,
        Answer("Counters, gauges and histograms", media_type="text/plain"),
        errors=(NotFound,),
    ),
)
