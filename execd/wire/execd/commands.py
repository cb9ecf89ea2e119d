"""Commands: POST and DELETE /command, their status and their logs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import CommandNotFound, InvalidRequest, LimitReached, MissingQuery, NotRunning
from execd.events import Complete
from execd.service.command import KILLED
from execd.service.commands import CommandRequest
from execd.service.execution import Execution
from execd.wire.body import read_model
from execd.wire.execd.answers import EXECUTION_HEADER, background_stream, command_stream
from execd.wire.execd.code import interrupt_code
from execd.wire.execd.errors import EXECD_ERRORS, LOG_ERRORS, RUN_ERRORS
from execd.wire.execd.schemas import CommandStatus, RunCommand
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of, webhooks_of

CURSOR_HEADER = "EXECD-COMMANDS-TAIL-CURSOR"

_LOG_BYTES = 16 * 1024 * 1024


async def run_command(request: Request) -> Response:
    """Run a command and stream its lines; in the background, answer at once."""
    sandbox = sandbox_of(request)
    body = await read_model(request, RunCommand, sandbox.settings.max_body)
    wanted = replace(_wanted(body), webhook_url=webhooks_of(request).usable(body.webhook_url))
    execution = await sandbox.commands.start(wanted)
    return await background_stream(request, execution) if body.background else command_stream(request, execution)


async def interrupt_command(request: Request) -> Response:
    """Stop a command: the same as DELETE /code."""
    return await interrupt_code(request)


async def command_status(request: Request) -> Response:
    """Whether a command runs, and how it ended."""
    execution = await sandbox_of(request).commands.execution(request.path_params["command_id"])
    return JSONResponse(_shown(execution))


async def command_logs(request: Request) -> Response:
    """A background command's output from a byte offset on."""
    command_id = request.path_params["command_id"]
    given = request.query_params.get("cursor", "")
    cursor = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else 0
    found = await sandbox_of(request).commands.log(command_id, cursor, _LOG_BYTES)
    headers = {CURSOR_HEADER: str(cursor + len(found))}
    return Response(found, media_type="text/plain; charset=utf-8", headers=headers)


def _wanted(body: RunCommand) -> CommandRequest:
    return CommandRequest(
        line=body.command,
        argv=None if body.argv is None else tuple(body.argv),
        cwd=body.cwd,
        env=body.envs,
        timeout=None if body.timeout is None else body.timeout / 1000,
        uid=body.uid,
        gid=body.gid,
        background=body.background,
    )


def _shown(execution: Execution) -> dict[str, object]:
    complete, error = execution.complete, execution.error
    status = CommandStatus(
        id=execution.id,
        content=execution.request.code,
        running=complete is None,
        exit_code=None if complete is None else _exit_code(complete),
        error=None if error is None else "; ".join(error.traceback) or error.evalue,
        started_at=_rfc3339(execution.started_at or execution.created_at),
        finished_at=None if execution.finished_at is None else _rfc3339(execution.finished_at),
        webhook_url=execution.origin.webhook_url,
        webhook_delivery_status=execution.webhook_delivery,
    )
    return status.model_dump(exclude_none=True)


def _exit_code(complete: Complete) -> int | None:
    # As in evalue: -1 for any signal.
    return None if complete.exit_code is None else max(complete.exit_code, int(KILLED))


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


OPERATIONS = (
    Operation(
        "POST",
        "/command",
        run_command,
        "Run a command and stream its output, one event a line",
        "commands",
        RUN_ERRORS,
        Answer("Its events; execution_complete for exit code 0, else error", media_type="text/event-stream"),
        body=RunCommand,
        errors=(InvalidRequest, LimitReached),
        headers={EXECUTION_HEADER: "The command's id."},
    ),
    Operation(
        "DELETE",
        "/command",
        interrupt_command,
        "Stop a command and everything that it started",
        "commands",
        RUN_ERRORS,
        Answer("It has ended"),
        parameters=(Parameter("id", "Id of a context, an execution or a command.", required=True),),
        errors=(MissingQuery, NotRunning),
    ),
    Operation(
        "GET",
        "/command/status/{command_id}",
        command_status,
        "Whether a command runs, and how it ended",
        "commands",
        EXECD_ERRORS,
        Answer("Its state", model=CommandStatus),
        errors=(CommandNotFound,),
    ),
    Operation(
        "GET",
        "/command/{command_id}/logs",
        command_logs,
        "A background command's output from a byte offset on",
        "commands",
        LOG_ERRORS,
        Answer("The output so far", media_type="text/plain"),
        parameters=(Parameter("cursor", "Byte offset to read from.", type="integer"),),
        errors=(CommandNotFound,),
        headers={CURSOR_HEADER: "The offset to ask from next."},
    ),
)
