"""Bash sessions, each a context of the language bash: POST /session, POST /session/{id}/run, DELETE /session/{id}."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import ContextNotFound, InvalidRequest, KernelFailed, LimitReached, SessionNotFound
from execd.kernel.request import ExecuteRequest
from execd.service.context import Context
from execd.service.sandbox import Sandbox
from execd.service.workspace import check_folder
from execd.wire.body import check_json_type, parse_model, read_bytes, read_model
from execd.wire.execd.answers import EXECUTION_HEADER, command_stream
from execd.wire.execd.errors import EXECD_ERRORS, RUN_ERRORS
from execd.wire.execd.schemas import NewSession, RunInSession, SessionInfo
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_of

_LANGUAGE = "bash"


async def create_session(request: Request) -> Response:
    """Make a session; its shell is ready when this answers."""
    sandbox = sandbox_of(request)
    raw = await read_bytes(request, sandbox.settings.max_body)
    if raw.strip():
        check_json_type(request.headers.get("content-type", ""))
    body = parse_model(raw if raw.strip() else b"{}", NewSession)
    session = await sandbox.sessions.create(_LANGUAGE, body.cwd)
    return JSONResponse(SessionInfo(session_id=session.id).model_dump())


async def run_in_session(request: Request) -> Response:
    """Run a command in a session and stream its lines."""
    sandbox = sandbox_of(request)
    session = _session(sandbox, request)
    body = await read_model(request, RunInSession, sandbox.settings.max_body)
    if "\0" in body.command:
        raise InvalidRequest("expected no NUL bytes", "command")
    folder = session.cwd / body.cwd if body.cwd else None
    if folder is not None:
        check_folder(sandbox.files.root, folder, "cwd")
    timeout = body.timeout / 1000 if body.timeout else None
    wanted = ExecuteRequest(body.command, timeout, cwd=str(folder) if folder else None, envs=body.envs)
    execution = await sandbox.submit(session, wanted)
    return command_stream(request, execution)


async def delete_session(request: Request) -> Response:
    """End a session, with everything that runs in it."""
    sandbox = sandbox_of(request)
    await sandbox.sessions.delete(_session(sandbox, request).id)
    return Response()


def _session(sandbox: Sandbox, request: Request) -> Context:
    session_id = request.path_params["session_id"]
    try:
        return sandbox.sessions.get(session_id)
    except ContextNotFound:
        raise SessionNotFound(session_id) from None


OPERATIONS = (
    Operation(
        "POST",
        "/session",
        create_session,
        "Make a bash session",
        "sessions",
        EXECD_ERRORS,
        Answer("The session, its shell ready", model=SessionInfo),
        body=NewSession,
        body_required=False,
        errors=(InvalidRequest, LimitReached, KernelFailed),
    ),
    Operation(
        "POST",
        "/session/{session_id}/run",
        run_in_session,
        "Run a command in a session, after what it already runs",
        "sessions",
        RUN_ERRORS,
        Answer("Its events; execution_complete for exit code 0, else error", media_type="text/event-stream"),
        body=RunInSession,
        errors=(InvalidRequest, SessionNotFound, LimitReached),
        headers={EXECUTION_HEADER: "The execution's id."},
    ),
    Operation(
        "DELETE",
        "/session/{session_id}",
        delete_session,
        "End a session and everything that runs in it",
        "sessions",
        EXECD_ERRORS,
        Answer("It is gone"),
        errors=(SessionNotFound,),
    ),
)
