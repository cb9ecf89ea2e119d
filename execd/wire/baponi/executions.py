"""/v1/executions/{trace_id}: what became of a program, what it printed, and its end before its time."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import ExecutionNotFound, InvalidRequest, NotRunning, StorageFull
from execd.service.execution import Execution
from execd.service.journal import now_ms
from execd.service.transcript import transcript
from execd.wire.baponi.errors import BAPONI_ERRORS
from execd.wire.baponi.lines import MEDIA_TYPE, Numbered
from execd.wire.baponi.outcome import mode_in, shown
from execd.wire.baponi.rules import Mode, is_trace_id, output_is_kept
from execd.wire.baponi.running import DIALECT, stream
from execd.wire.baponi.schemas import BaponiAccepted, BaponiExecution
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import programs_of

_MOST_DIGITS = 18


async def get_program_execution(request: Request) -> Response:
    """What is known of a run."""
    execution = await _named(request)
    told = await transcript(execution) if execution.complete is not None else None
    return JSONResponse(shown(execution, told).model_dump())


async def program_output(request: Request) -> Response:
    """What a run prints, as it comes, then its result."""
    after = _after(request.query_params.get("after_seq"))
    execution = await _named(request)
    kept = output_is_kept(execution.created_at, execution.request.timeout, now_ms())
    if mode_in(execution.origin.detail) is Mode.INLINE or not kept:
        return Response(b"", media_type=MEDIA_TYPE)
    return stream(execution, Numbered(execution.id, after, only_output=True))


async def cancel_program(request: Request) -> Response:
    """Have a run killed; its record says when it is."""
    execution = await _named(request)
    programs_of(request).cancel(execution)
    return JSONResponse(BaponiAccepted(trace_id=execution.id, status="cancelling").model_dump())


async def _named(request: Request) -> Execution:
    trace_id = request.path_params["trace_id"]
    if not is_trace_id(trace_id):
        raise ExecutionNotFound(trace_id[:40])
    return await programs_of(request).get(trace_id, DIALECT)


def _after(given: str | None) -> int:
    if given is None:
        return 0
    if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS):
        raise InvalidRequest(f"expected a whole number from 0 on, got {given[:40]!r}", "after_seq")
    return int(given)


_ONE = "/v1/executions/{trace_id}"

OPERATIONS = (
    Operation(
        "GET",
        _ONE,
        get_program_execution,
        "What is known of a run",
        "programs",
        BAPONI_ERRORS,
        Answer("The run; stdout, stderr and exit_code when it has ended", model=BaponiExecution),
        errors=(ExecutionNotFound, StorageFull),
    ),
    Operation(
        "GET",
        f"{_ONE}/output",
        program_output,
        "What a run prints, as it comes",
        "programs",
        BAPONI_ERRORS,
        Answer("Its events, and its result at last; nothing of a run that was waited for", media_type=MEDIA_TYPE),
        parameters=(Parameter("after_seq", "The number of the last event that is not wanted.", type="integer"),),
        errors=(InvalidRequest, ExecutionNotFound, StorageFull),
    ),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        cancel_program,
        "End a run",
        "programs",
        BAPONI_ERRORS,
        Answer("It is being killed", model=BaponiAccepted),
        errors=(ExecutionNotFound, NotRunning, StorageFull),
    ),
)
