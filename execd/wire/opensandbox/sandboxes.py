"""OpenSandbox's lifecycle: sandboxes made, shown, listed, given metadata and time, paused, resumed, deleted."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    FreezeUnavailable,
    InvalidRequest,
    NotOffered,
    SandboxFailed,
    SandboxNotFound,
    SandboxNotReady,
    ShuttingDown,
    TooManySandboxes,
)
from execd.service.listing import Page, page_of
from execd.service.record import SandboxRecord
from execd.wire.body import read_model
from execd.wire.opensandbox.asking import STATES, asked, wanted_of_list
from execd.wire.opensandbox.errors import OPENSANDBOX_ERRORS
from execd.wire.opensandbox.schemas import (
    ImageBody,
    MetadataPatch,
    NewSandbox,
    PaginationBody,
    Renewal,
    SandboxBody,
    SandboxListBody,
    StatusBody,
)
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_id_of, sandboxes_of
from execd.wire.times import from_rfc3339, rfc3339

_PAGE_SIZE = 20
_LARGEST_PAGE = 200


async def opensandbox_create(request: Request) -> Response:
    """Make a sandbox; it runs when this answers."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, NewSandbox, sandboxes.settings.max_body)
    record = await sandboxes.create(asked(body, sandboxes.settings))
    return _json(shown(record, image=False), 202)


async def opensandbox_get(request: Request) -> Response:
    """One sandbox."""
    return _json(shown(sandboxes_of(request).get(sandbox_id_of(request))))


async def opensandbox_list(request: Request) -> Response:
    """Sandboxes, the newest first."""
    query = request.query_params
    number = whole_number("page", query.get("page", ""), 1)
    size = whole_number("pageSize", query.get("pageSize", ""), _PAGE_SIZE)
    if number < 1 or not 1 <= size <= _LARGEST_PAGE:
        raise InvalidRequest(f"expected page from 1 on and pageSize from 1 to {_LARGEST_PAGE}", "page")
    wanted = wanted_of_list(query.getlist("state"), query.get("metadata", ""))
    return _json(_listed(page_of(sandboxes_of(request).records(), wanted, (number - 1) * size, size), number, size))


async def opensandbox_set_metadata(request: Request) -> Response:
    """Merge metadata."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, MetadataPatch, sandboxes.settings.max_body)
    return _json(shown(sandboxes.set_metadata(sandbox_id_of(request), body.__pydantic_extra__)))


async def opensandbox_delete(request: Request) -> Response:
    """End a sandbox; it is gone when this answers."""
    await sandboxes_of(request).delete(sandbox_id_of(request))
    return Response(status_code=204)


async def opensandbox_pause(request: Request) -> Response:
    """Stop every process of a sandbox."""
    await sandboxes_of(request).pause(sandbox_id_of(request))
    return Response(status_code=202)


async def opensandbox_resume(request: Request) -> Response:
    """Let them go on."""
    await sandboxes_of(request).resume(sandbox_id_of(request))
    return Response(status_code=202)


async def opensandbox_renew(request: Request) -> Response:
    """Let a sandbox live until another time."""
    sandboxes = sandboxes_of(request)
    body = await read_model(request, Renewal, sandboxes.settings.max_body)
    until = from_rfc3339(body.expiresAt, "expiresAt")
    record = sandboxes.renew(sandbox_id_of(request), until)
    return _json(Renewal(expiresAt=rfc3339(until if record.expires_at is None else record.expires_at)))


def shown(record: SandboxRecord, *, image: bool = True) -> SandboxBody:
    """A sandbox as this dialect shows it."""
    known = record.wanted.dialect
    return SandboxBody(
        id=record.id,
        status=StatusBody(state=STATES[record.status]),
        createdAt=rfc3339(record.created_at),
        entrypoint=known.get("entrypoint", []),
        expiresAt=None if record.expires_at is None else rfc3339(record.expires_at),
        metadata={name: str(value) for name, value in record.metadata.items()} or None,
        extensions=known.get("extensions"),
        platform=known.get("platform"),
        image=ImageBody(uri=record.wanted.image) if image else None,
    )


def _listed(page: Page, number: int, size: int) -> SandboxListBody:
    pagination = PaginationBody(
        page=number,
        pageSize=size,
        totalItems=page.total,
        totalPages=-(-page.total // size),
        hasNextPage=page.more,
    )
    return SandboxListBody(items=[shown(record) for record in page.items], pagination=pagination)


def _json(body: SandboxBody | SandboxListBody | Renewal, status: int = 200) -> Response:
    # Clients of this API take null for a value.
    return JSONResponse(body.model_dump(exclude_none=True), status)


_ONE = "/sandboxes/{sandbox_id}"
_FREEZING = (SandboxNotFound, SandboxNotReady, FreezeUnavailable, SandboxFailed)

OPERATIONS = (
    Operation(
        "POST",
        "/sandboxes",
        opensandbox_create,
        "Make a sandbox",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("The sandbox, running", status=202, model=SandboxBody),
        body=NewSandbox,
        errors=(InvalidRequest, NotOffered, TooManySandboxes, SandboxFailed, ShuttingDown),
    ),
    Operation(
        "GET",
        "/sandboxes",
        opensandbox_list,
        "List sandboxes, newest first",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("A page of them", model=SandboxListBody),
        parameters=(
            Parameter("state", "Only those in one of these states; may be given several times."),
            Parameter("metadata", "Only those with all of this metadata: a query string, encoded once more."),
            Parameter("page", "Which page, from 1 on.", type="integer"),
            Parameter("pageSize", f"How many a page holds: {_PAGE_SIZE}, or up to {_LARGEST_PAGE}.", type="integer"),
        ),
        errors=(InvalidRequest,),
    ),
    Operation(
        "GET",
        _ONE,
        opensandbox_get,
        "Show a sandbox",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("The sandbox", model=SandboxBody),
        errors=(SandboxNotFound,),
    ),
    Operation(
        "DELETE",
        _ONE,
        opensandbox_delete,
        "End a sandbox with everything in it",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("It is gone", status=204),
        errors=(SandboxNotFound, SandboxNotReady),
    ),
    Operation(
        "PATCH",
        f"{_ONE}/metadata",
        opensandbox_set_metadata,
        "Change a sandbox's metadata",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("The sandbox", model=SandboxBody),
        body=MetadataPatch,
        errors=(InvalidRequest, SandboxNotFound),
    ),
    Operation(
        "POST",
        f"{_ONE}/pause",
        opensandbox_pause,
        "Pause a sandbox",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("It is paused", status=202),
        errors=_FREEZING,
    ),
    Operation(
        "POST",
        f"{_ONE}/resume",
        opensandbox_resume,
        "Resume a paused sandbox",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("It runs", status=202),
        errors=_FREEZING,
    ),
    Operation(
        "POST",
        f"{_ONE}/renew-expiration",
        opensandbox_renew,
        "Let a sandbox live until another time",
        "opensandbox",
        OPENSANDBOX_ERRORS,
        Answer("When it ends now; the service's settings may have bounded it", model=Renewal),
        body=Renewal,
        errors=(InvalidRequest, SandboxNotFound),
    ),
)
