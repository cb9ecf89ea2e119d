"""Contexts in Nullspace's API: made, listed, deleted, restarted, interrupted."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    ContextNotFound,
    InvalidRequest,
    KernelFailed,
    LimitReached,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    UnknownLanguage,
)
from execd.service.context import Context
from execd.service.workspace import check_folder
from execd.wire.body import read_model
from execd.wire.nullspace.code_asking import folder_of, language_of
from execd.wire.nullspace.code_schemas import CodeContextBody, ContextStatus, NewCodeContext
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.run_bodies import context_body
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_of


async def create_code_context(request: Request) -> Response:
    """Make a context; answers when its kernel is ready."""
    sandbox = sandbox_of(request)
    body = await read_model(request, NewCodeContext, sandbox.settings.max_body)
    folder = None if body.cwd is None else folder_of(body.cwd, str(sandbox.place.workspace))
    if folder is not None:
        check_folder(sandbox.files.root, Path(folder), "cwd")
    context = await sandbox.contexts.create(language_of(body.language), folder)
    return JSONResponse(context_body(context), 201)


async def list_code_contexts(request: Request) -> Response:
    """The contexts, the oldest first."""
    return JSONResponse([context_body(context) for context in sandbox_of(request).contexts.list()])


async def delete_code_context(request: Request) -> Response:
    """Delete a context, with what it runs."""
    await sandbox_of(request).contexts.delete(_context(request).id)
    return Response(status_code=204)


async def restart_code_context(request: Request) -> Response:
    """Give a context a new kernel."""
    with sandbox_of(request).visited():
        await _context(request).restart()
    return JSONResponse(ContextStatus(status="restarted").model_dump())


async def interrupt_code_context(request: Request) -> Response:
    """Stop what runs in a context, if anything does."""
    with sandbox_of(request).visited():
        await _context(request).interrupt()
    return JSONResponse(ContextStatus(status="interrupted").model_dump())


def _context(request: Request) -> Context:
    return sandbox_of(request).contexts.get(request.path_params["context_id"])


_ALL = "/{sandbox_id}/code/contexts"
_ONE = f"{_ALL}/{{context_id}}"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)

OPERATIONS = (
    Operation(
        "POST",
        _ALL,
        create_code_context,
        "Make a context",
        "code contexts",
        SANDBOX_ERRORS,
        Answer("The context, its kernel ready", status=201, model=CodeContextBody),
        body=NewCodeContext,
        errors=(InvalidRequest, UnknownLanguage, LimitReached, KernelFailed, ShuttingDown, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "GET",
        _ALL,
        list_code_contexts,
        "List contexts",
        "code contexts",
        SANDBOX_ERRORS,
        Answer("The contexts, oldest first", model=CodeContextBody, many=True),
        errors=_SANDBOX,
        enters=True,
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_code_context,
        "Delete a context and end what it runs",
        "code contexts",
        SANDBOX_ERRORS,
        Answer("It is gone", status=204),
        errors=(ContextNotFound, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_ONE}/restart",
        restart_code_context,
        "Give a context a new kernel, without variables",
        "code contexts",
        SANDBOX_ERRORS,
        Answer("The new kernel is ready", model=ContextStatus),
        errors=(ContextNotFound, KernelFailed, ShuttingDown, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_ONE}/interrupt",
        interrupt_code_context,
        "Stop what runs in a context",
        "code contexts",
        SANDBOX_ERRORS,
        Answer("It has ended, or nothing ran", model=ContextStatus),
        errors=(ContextNotFound, *_SANDBOX),
        enters=True,
    ),
)
