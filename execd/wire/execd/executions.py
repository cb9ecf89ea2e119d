"""Executions: found again after the stream is gone, resumed, answered. An addition of ours to the execd API."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import ExecutionNotFound, InvalidRequest, NoInputWanted
from execd.events import Status
from execd.service.execution import Execution
from execd.store.executions import Wanted
from execd.wire.body import read_model
from execd.wire.execd.answers import code_stream
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.schemas import ExecutionInfo, InputLine
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_of

LIST_LIMIT = 100
LIST_LIMIT_MOST = 1000


async def list_executions(request: Request) -> Response:
    """Executions, the newest first."""
    query = request.query_params
    context_id = query.get("context_id") or None
    status = status_of(query.get("status", ""))
    limit = whole_number("limit", query.get("limit", ""), LIST_LIMIT)
    wanted = Wanted(context_id=context_id, status=status.value if status else None)
    found = await sandbox_of(request).executions.page(wanted, min(limit, LIST_LIMIT_MOST))
    return JSONResponse([shown(execution) for execution in found.items])


async def get_execution(request: Request) -> Response:
    """One execution's record."""
    return JSONResponse(shown(await _execution(request)))


async def stream_execution(request: Request) -> Response:
    """An execution's events from a point on: Last-Event-ID or after_seq, whichever is given."""
    execution = await _execution(request)
    after = _cursor(request)
    if after > execution.journal.last_seq:
        raise InvalidRequest(f"expected at most {execution.journal.last_seq}, the last event there is", "after_seq")
    return code_stream(request, execution, after)


async def answer_input(request: Request) -> Response:
    """Give `input()` its line."""
    sandbox = sandbox_of(request)
    body = await read_model(request, InputLine, sandbox.settings.max_body)
    execution = await _execution(request)
    if not execution.awaiting_input:
        raise NoInputWanted(execution.id)
    sandbox.context_of(execution).answer_input(body.value)
    return Response()


async def _execution(request: Request) -> Execution:
    return await sandbox_of(request).executions.get(request.path_params["execution_id"])


def _cursor(request: Request) -> int:
    if "after_seq" in request.query_params:
        return whole_number("after_seq", request.query_params["after_seq"], 0)
    return whole_number("Last-Event-ID", request.headers.get("last-event-id", ""), 0)


def status_of(given: str) -> Status | None:
    """The status that a query asks for. Raises InvalidRequest."""
    if not given:
        return None
    try:
        return Status(given)
    except ValueError:
        raise InvalidRequest(f"expected one of {', '.join(Status)}, got {given[:40]!r}", "status") from None


def shown(execution: Execution) -> dict[str, object]:
    """An execution's record."""
    fields = execution.complete.payload() if execution.complete is not None else {}
    info = ExecutionInfo(
        id=execution.id,
        context_id=execution.context_id,
        language=execution.language,
        status=execution.status,
        reason=fields.get("reason"),
        position=execution.position or None,
        code=execution.request.code,
        created_at=execution.created_at,
        started_at=execution.started_at,
        finished_at=execution.finished_at,
        duration_ms=execution.elapsed_ms(),
        execution_count=execution.execution_count,
        exit_code=fields.get("exit_code"),
        cpu_seconds=fields.get("cpu_seconds"),
        peak_memory_bytes=fields.get("peak_memory_bytes"),
        error=execution.error.payload()["error"] if execution.error else None,
        interruption=fields.get("interruption"),
        awaiting_input=execution.awaiting_input,
        webhook_url=execution.origin.webhook_url,
        webhook_delivery_status=execution.webhook_delivery,
        last_seq=execution.journal.last_seq,
    )
    return info.model_dump(exclude_none=True)


OPERATIONS = (
    Operation(
        "GET",
        "/code/executions",
        list_executions,
        "List executions, newest first",
        "executions",
        EXECD_ERRORS,
        Answer("Their records", model=ExecutionInfo, many=True),
        parameters=(
            Parameter("context_id", "Only those of this context."),
            Parameter("status", f"Only those in this status: {', '.join(Status)}."),
            Parameter("limit", f"How many at most: {LIST_LIMIT}, or up to {LIST_LIMIT_MOST}.", type="integer"),
        ),
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        "/code/executions/{execution_id}",
        get_execution,
        "Show an execution, under way or ended",
        "executions",
        EXECD_ERRORS,
        Answer("Its record", model=ExecutionInfo),
        errors=(ExecutionNotFound,),
    ),
    Operation(
        "GET",
        "/code/executions/{execution_id}/events",
        stream_execution,
        "Stream an execution's events from any point on",
        "executions",
        EXECD_ERRORS,
        Answer("The events after the given one; from the end on, what came late", media_type="text/event-stream"),
        parameters=(
            Parameter("after_seq", "The seq of the last event that is already known.", type="integer"),
            Parameter("Last-Event-ID", "The same, as browsers' EventSource sends it.", type="integer", place="header"),
        ),
        errors=(ExecutionNotFound, InvalidRequest),
    ),
    Operation(
        "POST",
        "/code/executions/{execution_id}/input",
        answer_input,
        "Answer an input_request",
        "executions",
        EXECD_ERRORS,
        Answer("The line is on its way to the code"),
        body=InputLine,
        errors=(ExecutionNotFound, InvalidRequest, NoInputWanted),
    ),
)
