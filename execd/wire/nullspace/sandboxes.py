"""Nullspace's lifecycle: sandboxes made, shown, listed, given time, paused, resumed, forked, destroyed."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    FreezeUnavailable,
    InvalidFields,
    InvalidRequest,
    NotOffered,
    SandboxExpired,
    SandboxFailed,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    TooManySandboxes,
)
from execd.service.journal import now_ms
from execd.service.listing import after
from execd.service.record import SandboxRecord
from execd.wire.body import read_model
from execd.wire.nullspace.asking import action as asked_action
from execd.wire.nullspace.asking import (
    asked,
    mask,
    masked,
    milliseconds,
    remaining,
    shown,
    timeout_action,
    wanted_of_list,
)
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.generation import generation_of
from execd.wire.nullspace.schemas import (
    DestroyedBody,
    NewTimeout,
    NullspaceNewSandbox,
    NullspaceSandbox,
    SnapshotBody,
    TimeoutBody,
)
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_id_of, sandboxes_of
from execd.wire.times import rfc3339

_PAGE = 100
_KEY = "idempotency-key"


async def create_sandbox(request: Request) -> Response:
    """Make a sandbox; it runs when this answers."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, NullspaceNewSandbox, sandboxes.settings.max_body)
    record = await sandboxes.create(asked(body, sandboxes.settings), request.headers.get(_KEY, ""))
    return _json(request, record, 201)


async def list_sandboxes(request: Request) -> Response:
    """Sandboxes, the newest first: all of them, or a page as soon as anything is asked of the list."""
    query, generation = request.query_params, generation_of(request)
    wanted_fields = mask(query.get("fields"))
    wanted = wanted_of_list(query.get("state"), query.get("template"), query.get("metadata"))
    limit = whole_number("limit", query.get("limit", ""), _PAGE)
    if not 1 <= limit <= _PAGE:
        raise InvalidRequest(f"expected a number from 1 to {_PAGE}", "limit")
    records = sandboxes_of(request).records()
    found, token = after(records, wanted, _place(query.get("next_token", "")), limit if query else len(records) + 1)
    now = now_ms()
    items = [masked(shown(record, generation, now), wanted_fields) for record in found]
    if not query:
        return JSONResponse(items)
    next_token = base64.urlsafe_b64encode(token.encode()).decode() if token else None
    return JSONResponse({"items": items, "next_token": next_token, "has_next": bool(token)})


async def get_sandbox(request: Request) -> Response:
    """One sandbox, or some of its fields."""
    wanted = mask(request.query_params.get("fields"))
    sandboxes, sandbox_id = sandboxes_of(request), sandbox_id_of(request)
    record = sandboxes.get(sandbox_id)
    body = shown(record, generation_of(request), now_ms(), sandboxes.active_at(sandbox_id))
    return JSONResponse(masked(body, wanted))


async def destroy_sandbox(request: Request) -> Response:
    """End a sandbox; it is gone when this answers."""
    record = await sandboxes_of(request).delete(sandbox_id_of(request))
    body = DestroyedBody(id=generation_of(request).id(record.id), status="destroyed")
    return JSONResponse(body.model_dump())


async def set_sandbox_timeout(request: Request) -> Response:
    """Let a sandbox live this long from now on."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, NewTimeout, sandboxes.settings.max_body)
    action = asked_action(body.timeout_action)
    record = sandboxes.set_timeout(sandbox_id_of(request), body.timeout_ms / 1000, action)
    told = TimeoutBody(
        timeout_ms=milliseconds(record.timeout),
        timeout_action=timeout_action(record),
        timeout_at=None if record.expires_at is None else rfc3339(record.expires_at),
        remaining_ms=remaining(record, now_ms()),
    )
    return JSONResponse(told.model_dump(exclude_none=True))


async def hibernate_sandbox(request: Request) -> Response:
    """Pause a sandbox. What stays is called a snapshot, and is resumed by its id, which is the sandbox's."""
    record = await sandboxes_of(request).pause(sandbox_id_of(request))
    generation = generation_of(request)
    known = {generation.id_field: generation.id(record.id)}
    body = SnapshotBody(
        id=generation.id(record.id),
        size_bytes=0,
        created_at=rfc3339(record.paused_at or now_ms()),
        metadata=dict(record.metadata),
        **known,
    )
    return JSONResponse(body.model_dump(exclude_none=True))


async def resume_sandbox(request: Request) -> Response:
    """Let a paused sandbox go on."""
    return _json(request, await sandboxes_of(request).resume(sandbox_id_of(request)), 200)


async def fork_sandbox(request: Request) -> Response:
    """A new sandbox with a copy of this one's workspace."""
    record = await sandboxes_of(request).fork(sandbox_id_of(request), key=request.headers.get(_KEY, ""))
    return _json(request, record, 201)


def _json(request: Request, record: SandboxRecord, status: int) -> Response:
    return JSONResponse(shown(record, generation_of(request), now_ms()), status)


def _place(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode("ascii")).decode("ascii")
    except (UnicodeError, binascii.Error):
        raise InvalidRequest("expected the token of an earlier page", "next_token") from None


_ONE = "/{sandbox_id}"
_GONE = (SandboxNotFound, SandboxExpired)
_FREEZING = (*_GONE, SandboxNotReady, FreezeUnavailable, SandboxFailed)
_MASK = Parameter("fields", "Only these fields, separated by commas.")
_IDEMPOTENCY = Parameter("Idempotency-Key", "The same key again makes nothing new.", place="header")

OPERATIONS = (
    Operation(
        "POST",
        "",
        create_sandbox,
        "Make a sandbox",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("The sandbox, running", status=201, model=NullspaceSandbox),
        body=NullspaceNewSandbox,
        parameters=(_IDEMPOTENCY,),
        errors=(InvalidRequest, NotOffered, TooManySandboxes, SandboxFailed, ShuttingDown),
    ),
    Operation(
        "GET",
        "",
        list_sandboxes,
        "List sandboxes, newest first",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("All of them; with any parameter {items, next_token, has_next}", model=NullspaceSandbox, many=True),
        parameters=(
            Parameter("state", "Only those in one of these states, separated by commas."),
            Parameter("template", "Only those of this template."),
            Parameter("metadata", "Only those with all of this metadata: a JSON object."),
            Parameter("limit", f"How many at most: up to {_PAGE}.", type="integer"),
            Parameter("next_token", "Where an earlier page ended."),
            _MASK,
        ),
        errors=(InvalidRequest, InvalidFields),
    ),
    Operation(
        "GET",
        _ONE,
        get_sandbox,
        "Show a sandbox",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("The sandbox", model=NullspaceSandbox),
        parameters=(_MASK,),
        errors=(InvalidFields, *_GONE),
    ),
    Operation(
        "DELETE",
        _ONE,
        destroy_sandbox,
        "End a sandbox with everything in it",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("It is gone", model=DestroyedBody),
        errors=(*_GONE, SandboxNotReady),
    ),
    Operation(
        "POST",
        f"{_ONE}/timeout",
        set_sandbox_timeout,
        "Let a sandbox live this long from now on",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("The time that it has; the service's settings may have bounded it", model=TimeoutBody),
        body=NewTimeout,
        errors=(InvalidRequest, FreezeUnavailable, *_GONE),
    ),
    Operation(
        "POST",
        f"{_ONE}/hibernate",
        hibernate_sandbox,
        "Pause a sandbox",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("By what it is resumed", model=SnapshotBody),
        errors=_FREEZING,
    ),
    Operation(
        "POST",
        f"{_ONE}/resume",
        resume_sandbox,
        "Resume a paused sandbox",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("The sandbox", model=NullspaceSandbox),
        errors=_FREEZING,
    ),
    Operation(
        "POST",
        f"{_ONE}/fork",
        fork_sandbox,
        "Make a sandbox with a copy of another one's workspace",
        "sandboxes",
        SANDBOX_ERRORS,
        Answer("The new sandbox, running", status=201, model=NullspaceSandbox),
        parameters=(_IDEMPOTENCY,),
        errors=(*_GONE, SandboxNotReady, NotOffered, TooManySandboxes, SandboxFailed, ShuttingDown),
    ),
)
