"""Contexts: POST /code/context, GET and DELETE /code/contexts and /code/contexts/{id}."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import ContextNotFound, InvalidRequest, KernelFailed, LimitReached, MissingQuery, UnknownLanguage
from execd.kernel.usage import Usage
from execd.service.context import Context
from execd.wire.body import read_model
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.schemas import ContextInfo, NewContext
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of


async def create_context(request: Request) -> Response:
    """Make a context; answers when its kernel is ready."""
    sandbox = sandbox_of(request)
    body = await read_model(request, NewContext, sandbox.settings.max_body)
    context = await sandbox.contexts.create(body.language, body.cwd)
    return JSONResponse(_shown(context))


async def list_contexts(request: Request) -> Response:
    """The contexts, all or of one language."""
    language = request.query_params.get("language") or None
    return JSONResponse([_shown(context) for context in sandbox_of(request).contexts.list(language)])


async def delete_contexts(request: Request) -> Response:
    """Delete every context of a language."""
    language = request.query_params.get("language", "")
    if not language:
        raise MissingQuery("language", "the language whose contexts shall be deleted")
    await sandbox_of(request).contexts.delete_all(language)
    return Response()


async def get_context(request: Request) -> Response:
    """One context, and what its kernel uses."""
    sandbox = sandbox_of(request)
    context = sandbox.contexts.get(request.path_params["context_id"])
    kernel = context.kernel
    usage = None if kernel is None else await sandbox.files.run(partial(Usage.of, kernel.process.pid))
    return JSONResponse(_shown(context, usage))


async def delete_context(request: Request) -> Response:
    """Delete one context, with what it runs."""
    await sandbox_of(request).contexts.delete(request.path_params["context_id"])
    return Response()


def _shown(context: Context, usage: Usage | None = None) -> dict[str, object]:
    info = ContextInfo(
        id=context.id,
        name=context.name,
        language=context.language,
        cwd=str(context.cwd),
        state=context.state,
        generation=context.generation,
        waiting=context.waiting,
        cpu_seconds=usage and usage.cpu_seconds,
        memory_bytes=usage and usage.memory_bytes,
        created_at=context.created_at,
    )
    return info.model_dump(exclude_none=True)


OPERATIONS = (
    Operation(
        "POST",
        "/code/context",
        create_context,
        "Make a context",
        "contexts",
        EXECD_ERRORS,
        Answer("The context, its kernel ready", model=ContextInfo),
        body=NewContext,
        errors=(InvalidRequest, UnknownLanguage, LimitReached, KernelFailed),
    ),
    Operation(
        "GET",
        "/code/contexts",
        list_contexts,
        "List contexts",
        "contexts",
        EXECD_ERRORS,
        Answer("The contexts, oldest first", model=ContextInfo, many=True),
        parameters=(Parameter("language", "Only contexts of this language."),),
    ),
    Operation(
        "DELETE",
        "/code/contexts",
        delete_contexts,
        "Delete all contexts of a language, the default one included",
        "contexts",
        EXECD_ERRORS,
        Answer("They are gone"),
        parameters=(Parameter("language", "Their language.", required=True),),
        errors=(MissingQuery,),
    ),
    Operation(
        "GET",
        "/code/contexts/{context_id}",
        get_context,
        "Show a context",
        "contexts",
        EXECD_ERRORS,
        Answer("The context", model=ContextInfo),
        errors=(ContextNotFound,),
    ),
    Operation(
        "DELETE",
        "/code/contexts/{context_id}",
        delete_context,
        "Delete a context and end what it runs",
        "contexts",
        EXECD_ERRORS,
        Answer("It is gone"),
        errors=(ContextNotFound,),
    ),
)
