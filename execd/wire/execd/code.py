"""Running and interrupting code: POST /code, DELETE /code."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import (
    ContextNotFound,
    ExecutionNotFound,
    InvalidRequest,
    KernelFailed,
    LimitReached,
    MissingQuery,
    NotRunning,
    UnknownLanguage,
)
from execd.kernel.request import ExecuteRequest
from execd.service.context import Context
from execd.service.execution import Execution
from execd.service.sandbox import Sandbox
from execd.wire.body import read_model
from execd.wire.execd.errors import RUN_ERRORS
from execd.wire.execd.schemas import ContextRef, RunCode
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of
from execd.wire.streams import event_stream, framing_for

EXECUTION_HEADER = "EXECD-EXECUTION-ID"
RUNG_HEADER = "EXECD-INTERRUPT-RUNG"
STATE_HEADER = "EXECD-CONTEXT-STATE"

_LONGEST_MS = 10**15


async def run_code(request: Request) -> Response:
    """Run code and stream its events."""
    sandbox = sandbox_of(request)
    body = await read_model(request, RunCode, sandbox.settings.max_body)
    context = _context(sandbox, body.context)
    execution = sandbox.submit(context, ExecuteRequest(body.code, _seconds(body.timeout), body.allow_stdin))
    return stream_of(request, execution)


async def interrupt_code(request: Request) -> Response:
    """Interrupt by the id of a context, an execution or a command; answers when it has ended."""
    wanted = request.query_params.get("id", "")
    if not wanted:
        raise MissingQuery("id", "the id of a context, an execution or a command")
    execution = await sandbox_of(request).interrupt(wanted)
    return Response(headers=interruption_headers(execution))


def stream_of(request: Request, execution: Execution, after: int = 0) -> Response:
    """An execution's events after the seq `after`, as this client can read them."""
    settings = sandbox_of(request).settings
    framing = framing_for(request.headers.get("user-agent", ""))
    headers = {EXECUTION_HEADER: execution.id}
    return event_stream(execution.follow(after), framing, settings.ping_interval, settings.shutdown_grace, headers)


def interruption_headers(execution: Execution | None) -> dict[str, str]:
    """What an interrupt did: the rung of the ladder that worked, and what became of the context's variables."""
    complete = None if execution is None else execution.complete
    if execution is None or complete is None:
        return {RUNG_HEADER: "none", STATE_HEADER: "kept"}
    interruption = complete.interruption
    return {
        EXECUTION_HEADER: execution.id,
        RUNG_HEADER: interruption.rung if interruption else "none",
        STATE_HEADER: "kept" if interruption is None or interruption.state_kept else "lost",
    }


def _seconds(milliseconds: int | None) -> float | None:
    # Bounded, for an integer of JSON may be larger than any float; the service's own bound comes after.
    return None if milliseconds is None else min(milliseconds, _LONGEST_MS) / 1000


def _context(sandbox: Sandbox, ref: ContextRef) -> Context:
    if ref.id:
        return sandbox.contexts.get(ref.id)
    if not ref.language:
        known = ", ".join(sandbox.kernelspecs.languages)
        raise InvalidRequest(f"expected a language ({known}), or a context by context.id", "context.language")
    return sandbox.contexts.default(ref.language, ref.cwd)


OPERATIONS = (
    Operation(
        "POST",
        "/code",
        run_code,
        "Run code in a context and stream what it does",
        "code",
        RUN_ERRORS,
        Answer("The run's events, from init to execution_complete", media_type="text/event-stream"),
        body=RunCode,
        errors=(InvalidRequest, UnknownLanguage, ContextNotFound, LimitReached, KernelFailed),
        headers={EXECUTION_HEADER: "The execution's id."},
    ),
    Operation(
        "DELETE",
        "/code",
        interrupt_code,
        "Interrupt what runs, by the id of its context or its own",
        "code",
        RUN_ERRORS,
        Answer("It has ended, or nothing ran"),
        parameters=(Parameter("id", "Id of a context, an execution or a command.", required=True),),
        errors=(MissingQuery, ContextNotFound, ExecutionNotFound, NotRunning),
        headers={
            EXECUTION_HEADER: "The execution that was stopped.",
            RUNG_HEADER: "What stopped it: none, interrupt, nudge, interrupt_again or kill.",
            STATE_HEADER: "Whether the context's variables were kept or lost.",
        },
    ),
)
