"""Commands in a sandbox: run to their end, or left in the background, read, written to, killed."""

from __future__ import annotations

import contextlib

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    CommandFailed,
    CommandTimedOut,
    InputClosed,
    InvalidRequest,
    LimitReached,
    NotRunning,
    ProcessNotFound,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
)
from execd.events import Reason
from execd.service.command import Command
from execd.service.commands import CommandRequest
from execd.service.execution import Execution
from execd.service.transcript import transcript
from execd.wire.body import read_model
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.schemas import ExecBody, ExecResult, ProcessBody, ProcessLogs, StdinBody
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_of

_SIGNALLED = 128


async def exec_command(request: Request) -> Response:
    """Run a command to its end; in the background, answer once it has a process."""
    sandbox = sandbox_of(request)
    body = await read_model(request, ExecBody, sandbox.settings.max_body)
    execution = await sandbox.commands.start(wanted(body))
    command = sandbox.commands.living(execution.id)
    await command.spawned.wait()
    if command.pid is None:
        await execution.ended.wait()
        raise CommandFailed(f"the command could not be started: {execution.error.evalue if execution.error else ''}")
    if body.background:
        return JSONResponse({"pid": command.pid})
    with sandbox.visited():
        await execution.ended.wait()
    return JSONResponse(await _result(command, body.timeout_secs))


async def list_processes(request: Request) -> Response:
    """The commands of a sandbox."""
    found = [
        ProcessBody(pid=command.pid, command=command.execution.request.code, running=_runs(command)).model_dump()
        for command in sandbox_of(request).commands.list()
        if command.pid is not None
    ]
    return JSONResponse(found)


async def process_logs(request: Request) -> Response:
    """What a command has printed so far."""
    command = _process(request)
    told = await transcript(command.execution)
    code = exit_code(command.execution)
    body = ProcessLogs(stdout=told.stdout, stderr=told.stderr, output=told.output, exit_code=code)
    return JSONResponse(body.model_dump(exclude_none=True))


async def process_stdin(request: Request) -> Response:
    """Write to a command's input."""
    command = _process(request)
    body = await read_model(request, StdinBody, sandbox_of(request).settings.max_body)
    if command.input is None:
        raise InputClosed("it was started without one; commands in the background have one")
    await command.input.write(body.data.encode())
    return Response(status_code=204)


async def kill_process(request: Request) -> Response:
    """End a command with everything that it started; nothing for one that has ended."""
    with contextlib.suppress(NotRunning):
        await sandbox_of(request).commands.stop(_process(request).execution.id)
    return Response(status_code=204)


def wanted(body: ExecBody, *, live: bool = False) -> CommandRequest:
    """The command that is asked for. One in the background goes on until it ends or is killed, unless somebody
    listens to it live. Raises InvalidRequest."""
    if body.shell and body.args:
        raise InvalidRequest("expected no args beside a line for a shell", "args")
    return CommandRequest(
        line=body.command if body.shell else None,
        argv=None if body.shell else (body.command, *body.args),
        cwd=body.cwd,
        env=body.envs,
        timeout=None if body.background else float(body.timeout_secs),
        input=body.background or live,
    )


def exit_code(execution: Execution) -> int | None:
    """As shells count: 128 and the signal for what a signal has ended. None while it runs."""
    if execution.complete is None:
        return None
    code = execution.complete.exit_code
    if code is None:
        return _SIGNALLED - 1
    return code if code >= 0 else _SIGNALLED - code


async def _result(command: Command, seconds: int) -> dict[str, object]:
    complete = command.execution.complete
    if complete is not None and complete.reason is Reason.TIMEOUT:
        raise CommandTimedOut(f"the command was still running after {seconds} s, and was killed")
    told = await transcript(command.execution)
    code = exit_code(command.execution)
    return ExecResult(exit_code=code, stdout=told.stdout, stderr=told.stderr, pid=command.pid).model_dump()


def _process(request: Request) -> Command:
    return sandbox_of(request).commands.by_pid(request.path_params["pid"])


def _runs(command: Command) -> bool:
    return not command.execution.ended.is_set()


_ONE = "/{sandbox_id}"
_PROCESS = f"{_ONE}/processes/{{pid}}"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)

OPERATIONS = (
    Operation(
        "POST",
        f"{_ONE}/exec",
        exec_command,
        "Run a command",
        "processes",
        SANDBOX_ERRORS,
        Answer("How it ended; of one in the background its pid", model=ExecResult),
        body=ExecBody,
        errors=(InvalidRequest, LimitReached, CommandFailed, CommandTimedOut, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "GET",
        f"{_ONE}/processes",
        list_processes,
        "List commands that have a process, or had one",
        "processes",
        SANDBOX_ERRORS,
        Answer("The commands, oldest first", model=ProcessBody, many=True),
        errors=_SANDBOX,
        enters=True,
    ),
    Operation(
        "GET",
        f"{_PROCESS}/logs",
        process_logs,
        "What a command has printed so far",
        "processes",
        SANDBOX_ERRORS,
        Answer("Its streams, and both as they came", model=ProcessLogs),
        errors=(ProcessNotFound, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_PROCESS}/stdin",
        process_stdin,
        "Write to a command's input",
        "processes",
        SANDBOX_ERRORS,
        Answer("It is written", status=204),
        body=StdinBody,
        errors=(InvalidRequest, ProcessNotFound, InputClosed, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_PROCESS}/kill",
        kill_process,
        "End a command with everything that it started",
        "processes",
        SANDBOX_ERRORS,
        Answer("It has ended", status=204),
        errors=(ProcessNotFound, *_SANDBOX),
        enters=True,
    ),
)
