"""Runs in Nullspace's API: made, waited for, listed, shown, cancelled. Their records outlive the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import get_args

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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
)
from execd.service.caller import is_default
from execd.service.context import Context
from execd.service.execution import Execution
from execd.store.executions import Wanted
from execd.wire.body import read_model
from execd.wire.cursor import decode_cursor, next_cursor
from execd.wire.nullspace.code_asking import asked_by, wanted
from execd.wire.nullspace.code_schemas import ExecuteBody, NewRun, RunBody, RunList, RunStatus
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.run_bodies import RUN_HEADER, ended, run_body, run_response, runs_of
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import page_limit, seconds
from execd.wire.state import enter, sandbox_id_of, sandbox_of, sandboxes_of

DEFAULT_LIMIT = 50
MOST_LIMIT = 1000
LONGEST_WAIT = 60.0

_STATUSES = get_args(RunStatus)


async def create_run(request: Request) -> Response:
    """Run code; answers when the run is recorded, or has ended if that is waited for."""
    sandbox = sandbox_of(request)
    body = await read_model(request, NewRun, sandbox.settings.max_body)
    patience = _patience(request)
    execution = await submitted(request, body, lambda: sandbox.contexts.get(body.context_id))
    with sandbox.visited():
        await _wait(execution, patience)
    return await run_response(request, execution, 202)


async def list_runs(request: Request) -> Response:
    """Runs, the newest first."""
    query = request.query_params
    asked = Wanted(context_id=query.get("context_id") or None, status=_status(query.get("status", "")))
    before = decode_cursor(query.get("cursor", ""))
    page = await runs_of(request).page(asked, page_limit(query.get("limit", ""), DEFAULT_LIMIT, MOST_LIMIT), before)
    if not page.items:
        check_sandbox(request)
    settings = sandboxes_of(request).settings
    cursor = next_cursor(page.before)
    return JSONResponse({"items": [run_body(found, settings) for found in page.items], "next_cursor": cursor})


async def get_run(request: Request) -> Response:
    """One run; answers when it has ended if that is waited for."""
    patience = _patience(request)
    execution = await _run(request)
    await _wait(execution, patience)
    return await run_response(request, execution)


async def cancel_run(request: Request) -> Response:
    """Cancel a run: at once if it waits for its turn, else as soon as the code gives in."""
    execution = await _run(request)
    if not await ended(execution):
        await (await enter(request)).cancel(execution)
    return await run_response(request, execution, 200 if await ended(execution) else 202)


@asynccontextmanager
async def missing_from(request: Request) -> AsyncIterator[None]:
    """What is missing in a sandbox that is missing itself is told as that."""
    try:
        yield
    except ExecutionNotFound:
        check_sandbox(request)
        raise


def check_sandbox(request: Request) -> None:
    """Raise SandboxNotFound or SandboxExpired if there is no such sandbox."""
    if not is_default(sandbox_id := sandbox_id_of(request)):
        sandboxes_of(request).get(sandbox_id)


async def submitted(request: Request, body: NewRun | ExecuteBody, find: Callable[[], Context]) -> Execution:
    """A new run in the context that is found; with a key that is known the run that it made, whatever has become of the
    context. Raises what `find` and `Sandbox.submit` do."""
    sandbox, asked = sandbox_of(request), asked_by(request, body)
    known = await sandbox.executions.by_key(asked.key) if asked.key else None
    return known or await sandbox.submit(find(), wanted(body), asked)


async def _run(request: Request) -> Execution:
    async with missing_from(request):
        return await runs_of(request).get(request.path_params["run_id"])


async def _wait(execution: Execution, patience: float) -> None:
    if patience:
        with anyio.move_on_after(patience):
            await execution.ended.wait()


def _patience(request: Request) -> float:
    return min(seconds("wait", request.query_params.get("wait", ""), 0.0), LONGEST_WAIT)


def _status(given: str) -> str | None:
    if given and given not in _STATUSES:
        raise InvalidRequest(f"expected one of {', '.join(_STATUSES)}, got {given[:40]!r}", "status")
    return given or None


_ALL = "/{sandbox_id}/code/runs"
_ONE = f"{_ALL}/{{run_id}}"
_SANDBOX = (SandboxNotFound, SandboxExpired)
_WAIT = Parameter(
    "wait", f"Seconds, up to {LONGEST_WAIT:g}, that the answer may wait for the run's end.", type="number"
)
_REFUSED = (InvalidRequest, ContextNotFound, EnvsUnavailable, LimitReached, StorageFull, ShuttingDown)
_RUN_ID = {RUN_HEADER: "The run's id."}

OPERATIONS = (
    Operation(
        "POST",
        _ALL,
        create_run,
        "Run code without a stream",
        "code runs",
        SANDBOX_ERRORS,
        Answer("The run, recorded", status=202, model=RunBody),
        body=NewRun,
        parameters=(
            Parameter("Idempotency-Key", "The same key again makes no second run.", place="header"),
            _WAIT,
        ),
        errors=(*_REFUSED, SandboxNotReady, *_SANDBOX),
        headers=_RUN_ID,
        enters=True,
    ),
    Operation(
        "GET",
        _ALL,
        list_runs,
        "List runs, newest first",
        "code runs",
        SANDBOX_ERRORS,
        Answer("A page of them", model=RunList),
        parameters=(
            Parameter("status", f"Only those in this status: {', '.join(_STATUSES)}."),
            Parameter("context_id", "Only those of this context."),
            Parameter("limit", f"How many, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} if none is given.", type="integer"),
            Parameter("cursor", "The next_cursor of the page before."),
        ),
        errors=(InvalidRequest, StorageFull, *_SANDBOX),
    ),
    Operation(
        "GET",
        _ONE,
        get_run,
        "Show a run",
        "code runs",
        SANDBOX_ERRORS,
        Answer("The run, with what it has brought forth once it has ended", model=RunBody),
        parameters=(_WAIT,),
        errors=(InvalidRequest, ExecutionNotFound, StorageFull, *_SANDBOX),
        headers=_RUN_ID,
    ),
    Operation(
        "POST",
        f"{_ONE}/cancel",
        cancel_run,
        "Cancel a run",
        "code runs",
        SANDBOX_ERRORS,
        Answer("The run, which has ended; 202 while the code is still being stopped", model=RunBody),
        errors=(ExecutionNotFound, StorageFull, SandboxNotReady, *_SANDBOX),
        headers=_RUN_ID,
    ),
)
