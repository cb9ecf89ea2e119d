"""POST /v1/sandbox/execute: a program that runs once, told of at its end, as it happens, or somewhere else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from execd.errors import (
    BodyTooLarge,
    CodeTooLarge,
    InvalidRequest,
    SandboxFailed,
    ShuttingDown,
    StorageFull,
    ThreadBusy,
    TooManyPrograms,
    TooManySandboxes,
)
from execd.identifiers import new_id
from execd.service.execution import Execution, Origin
from execd.service.program import Program
from execd.service.transcript import transcript
from execd.wire.baponi import lines
from execd.wire.baponi.errors import BAPONI_ERRORS
from execd.wire.baponi.outcome import Outcome, detail_of
from execd.wire.baponi.rules import DEFAULT_SECONDS, MOST_CODE, Mode, mode_of
from execd.wire.baponi.schemas import BaponiAccepted, BaponiExecute, BaponiInline
from execd.wire.body import read_model
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import programs_of, sandboxes_of, webhooks_of

DIALECT = "baponi"

_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def execute_program(request: Request) -> Response:
    """Run a program; hanging up stops nothing."""
    body = await read_model(request, BaponiExecute, sandboxes_of(request).settings.max_body)
    program = wanted(body)
    mode = mode_of(request.headers.get("accept", ""), request.headers.get("prefer", ""))
    detail = detail_of(mode, body.thread_id, body.metadata or {})
    url = webhooks_of(request).usable(body.webhook_url) if mode is Mode.WEBHOOK else None
    origin = Origin(new_id("trc"), None, program.language, dialect=DIALECT, detail=detail, webhook_url=url)
    execution = await programs_of(request).start(program, origin, alive=mode is not Mode.INLINE)
    match mode:
        case Mode.WEBHOOK:
            return JSONResponse(BaponiAccepted(trace_id=execution.id, status="running").model_dump(), 202)
        case Mode.STREAMING:
            return stream(execution, lines.Numbered(execution.id))
        case Mode.INLINE:
            return JSONResponse(await _result(execution))


def wanted(body: BaponiExecute) -> Program:
    """The program that is asked for. Raises CodeTooLarge. (What is mounted is nothing, so no path narrows it.)"""
    if len(body.code.encode()) > MOST_CODE:
        raise CodeTooLarge(MOST_CODE)
    return Program(
        language=body.language or "python",
        code=body.code,
        timeout=body.timeout or DEFAULT_SECONDS,
        envs=body.env_vars or {},
        thread=body.thread_id,
    )


def stream(execution: Execution, events: lines.Numbered) -> Response:
    """The events of a run, as they come."""
    return StreamingResponse(lines.told(execution, events), media_type=lines.MEDIA_TYPE, headers=_STREAM_HEADERS)


async def _result(execution: Execution) -> dict[str, object]:
    await execution.ended.wait()
    result = Outcome.of(execution).result(await transcript(execution))
    return BaponiInline(trace_id=execution.id, **result.model_dump()).model_dump()


OPERATIONS = (
    Operation(
        "POST",
        "/v1/sandbox/execute",
        execute_program,
        "Run a program, in a thread that keeps its files or where nothing is kept",
        "programs",
        BAPONI_ERRORS,
        Answer(
            f"How it ended; as {lines.MEDIA_TYPE} what it does, as it happens; 202 and its id if it is not waited for",
            model=BaponiInline,
        ),
        body=BaponiExecute,
        parameters=(
            Parameter("Accept", f"{lines.MEDIA_TYPE} for a stream of events.", place="header"),
            Parameter("Prefer", "respond-async for an answer at once.", place="header"),
        ),
        errors=(
            InvalidRequest,
            BodyTooLarge,
            CodeTooLarge,
            ThreadBusy,
            TooManyPrograms,
            TooManySandboxes,
            SandboxFailed,
            StorageFull,
            ShuttingDown,
        ),
    ),
)
