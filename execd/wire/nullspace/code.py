"""Code whose output is streamed: run, or followed again after the stream is gone."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import (
    ContextNotFound,
    EnvsUnavailable,
    ExecutionNotFound,
    InvalidRequest,
    LimitReached,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    StorageFull,
    UnknownLanguage,
)
from execd.service.context import Context
from execd.service.contexts import Contexts
from execd.service.execution import Execution
from execd.wire.body import read_model
from execd.wire.nullspace.code_asking import language_of
from execd.wire.nullspace.code_frames import CodeFrames, in_pieces, keepalive_pause
from execd.wire.nullspace.code_schemas import ExecuteBody
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.run_bodies import RUN_HEADER, dress_of, runs_of
from execd.wire.nullspace.runs import missing_from, submitted
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_of, sandboxes_of
from execd.wire.streams import event_stream


async def execute_code(request: Request) -> Response:
    """Run code and stream what it does."""
    sandbox = sandbox_of(request)
    body = await read_model(request, ExecuteBody, sandbox.settings.max_body)
    return _stream(request, await submitted(request, body, lambda: _context(sandbox.contexts, body)))


async def stream_run(request: Request) -> Response:
    """A run's events from a point on: after_seq or Last-Event-ID, whichever is given."""
    async with missing_from(request):
        execution = await runs_of(request).get(request.path_params["run_id"])
    after = _after(request)
    if after > execution.journal.last_seq:
        raise InvalidRequest(f"expected at most {execution.journal.last_seq}, the last event there is", "after_seq")
    return _stream(request, execution, after)


def _context(contexts: Contexts, body: ExecuteBody) -> Context:
    return contexts.get(body.context_id) if body.context_id else contexts.default(language_of(body.language))


def _after(request: Request) -> int:
    if "after_seq" in request.query_params:
        return whole_number("after_seq", request.query_params["after_seq"], 0)
    return whole_number("Last-Event-ID", request.headers.get("last-event-id", ""), 0)


def _stream(request: Request, execution: Execution, after: int = 0) -> Response:
    settings = sandboxes_of(request).settings
    framing = CodeFrames(execution, dress_of(request, execution))
    pause = keepalive_pause(settings.ping_interval)
    return event_stream(in_pieces(execution.follow(after)), framing, pause, {RUN_HEADER: execution.id})


_ONE = "/{sandbox_id}/code"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)
_REFUSED = (InvalidRequest, ContextNotFound, EnvsUnavailable, LimitReached, StorageFull, ShuttingDown)
_RUN_ID = {RUN_HEADER: "The run's id."}

OPERATIONS = (
    Operation(
        "POST",
        f"{_ONE}/execute",
        execute_code,
        "Run code and stream what it does",
        "code runs",
        SANDBOX_ERRORS,
        Answer("The run's events, until it ends", media_type="text/event-stream"),
        body=ExecuteBody,
        parameters=(Parameter("Idempotency-Key", "The same key again streams the run that it made.", place="header"),),
        errors=(UnknownLanguage, *_REFUSED, *_SANDBOX),
        headers=_RUN_ID,
        enters=True,
    ),
    Operation(
        "GET",
        f"{_ONE}/runs/{{run_id}}/events",
        stream_run,
        "Stream a run's events from any point on",
        "code runs",
        SANDBOX_ERRORS,
        Answer("The events after the given one, until it ends", media_type="text/event-stream"),
        parameters=(
            Parameter("after_seq", "The seq of the last event that is already known.", type="integer"),
            Parameter("Last-Event-ID", "The same, as browsers' EventSource sends it.", type="integer", place="header"),
        ),
        errors=(ExecutionNotFound, InvalidRequest, StorageFull, SandboxNotFound, SandboxExpired),
        headers=_RUN_ID,
    ),
)
