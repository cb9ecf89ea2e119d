"""Running and interrupting code: POST /code, DELETE /code."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import (
    ContextNotFound,
    EnvsUnavailable,
    ExecutionNotFound,
    InvalidRequest,
    KernelFailed,
    LimitReached,
    MissingQuery,
    NotRunning,
    UnknownLanguage,
)
from execd.kernel.request import ExecuteRequest
from execd.kernel.variables import check
from execd.service.commands import CommandRequest
from execd.service.context import Context
from execd.service.execution import Asked
from execd.service.sandbox import Sandbox
from execd.wire.body import read_model
from execd.wire.execd.answers import (
    EXECUTION_HEADER,
    RUNG_HEADER,
    STATE_HEADER,
    background_stream,
    code_stream,
    command_stream,
    interruption_headers,
)
from execd.wire.execd.errors import RUN_ERRORS
from execd.wire.execd.schemas import ContextRef, RunCode
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of, webhooks_of

# Languages that stand for a shell command, and whether it runs in the background.
_COMMANDS = {"": False, "command": False, "background-command": True}


async def run_code(request: Request) -> Response:
    """Run code and stream its events."""
    sandbox = sandbox_of(request)
    body = await read_model(request, RunCode, sandbox.settings.max_body)
    seconds = None if body.timeout is None else body.timeout / 1000
    if not body.context.id and body.context.language in _COMMANDS:
        return await _run_as_command(request, body, seconds)
    context = _context(sandbox, body.context)
    wanted = ExecuteRequest(body.code, seconds, body.allow_stdin, envs=body.envs)
    url = webhooks_of(request).usable(body.webhook_url)
    execution = await sandbox.submit(context, wanted, Asked(webhook_url=url))
    return code_stream(request, execution)


async def interrupt_code(request: Request) -> Response:
    """Interrupt by the id of a context, an execution or a command; answers when it has ended."""
    wanted = request.query_params.get("id", "")
    if not wanted:
        raise MissingQuery("id", "the id of a context, an execution or a command")
    execution = await sandbox_of(request).interrupt(wanted)
    return Response(headers=interruption_headers(execution))


def _context(sandbox: Sandbox, ref: ContextRef) -> Context:
    return sandbox.contexts.get(ref.id) if ref.id else sandbox.contexts.default(ref.language, ref.cwd)


async def _run_as_command(request: Request, body: RunCode, seconds: float | None) -> Response:
    if "\0" in body.code:
        raise InvalidRequest("expected no NUL bytes in a shell command", "code")
    background = _COMMANDS[body.context.language]
    check(body.envs)
    wanted = CommandRequest(
        body.code,
        cwd=body.context.cwd,
        env=body.envs,
        timeout=seconds,
        background=background,
        webhook_url=webhooks_of(request).usable(body.webhook_url),
    )
    execution = await sandbox_of(request).commands.start(wanted)
    return await background_stream(request, execution) if background else command_stream(request, execution)


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
        errors=(InvalidRequest, UnknownLanguage, ContextNotFound, EnvsUnavailable, LimitReached, KernelFailed),
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
