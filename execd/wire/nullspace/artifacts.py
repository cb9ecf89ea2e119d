"""Artifacts of a sandbox: listed, described, downloaded, shown, deleted; and by links that are their own key.

They are there as long as the records of their runs, whatever has become of the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    ArtifactNotFound,
    InvalidRequest,
    LinkInvalid,
    RangeUnsatisfiable,
    SandboxExpired,
    SandboxNotFound,
    StorageFull,
)
from execd.service.artifact import shown
from execd.service.caller import is_default, may_see, tenant
from execd.service.links import LIFETIME, Link
from execd.service.media import Kind
from execd.store.artifacts import ArtifactRow, WantedArtifacts
from execd.wire.cursor import decode_cursor, next_cursor
from execd.wire.download import content_disposition
from execd.wire.execd.transfers import file_answer
from execd.wire.nullspace.artifact_schemas import ArtifactBody, ArtifactList
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import page_limit, whole_number
from execd.wire.state import artifacts_of, base_of, sandbox_id_of, sandboxes_of

DEFAULT_LIMIT = 50
MOST_LIMIT = 1000

_DOWNLOAD = "artifact"
_PREVIEW = "artifact preview"

Result = TypeVar("Result")


async def list_artifacts(request: Request) -> Response:
    """The newest first."""
    query = request.query_params
    wanted = WantedArtifacts(
        tenant=tenant(),
        sandbox_id=sandbox_id_of(request),
        context_id=query.get("context_id"),
        execution_count=_number("execution_count", query.get("execution_count")),
        kind=_kind(query.get("kind")),
    )
    limit = page_limit(query.get("limit", ""), DEFAULT_LIMIT, MOST_LIMIT)
    found = await artifacts_of(request).page(wanted, limit, decode_cursor(query.get("cursor", "")))
    if not found.items:
        await _check_sandbox(request)
    items = [with_links(request, shown(row), row.sandbox_id) for row in found.items]
    return JSONResponse({"items": items, "next_cursor": next_cursor(found.before)})


async def get_artifact(request: Request) -> Response:
    """What there is to say of it."""
    row = await _asked(request)
    return JSONResponse(with_links(request, shown(row), row.sandbox_id))


async def download_artifact(request: Request) -> Response:
    """Its bytes, to be saved."""
    return await _download(request, await _asked(request))


async def preview_artifact(request: Request) -> Response:
    """Its bytes, to be shown in a browser."""
    return await _preview(request, await _asked(request))


async def delete_artifact(request: Request) -> Response:
    """Delete it; its run's record stays."""
    await artifacts_of(request).delete((await _asked(request)).id)
    return Response(status_code=204)


async def artifact_by_link(request: Request) -> Response:
    """Its bytes, by a link to download or to show them."""
    links, token = sandboxes_of(request).links, request.path_params["token"]
    try:
        link, send = links.read(token, _DOWNLOAD), _download
    except LinkInvalid:
        link, send = links.read(token, _PREVIEW), _preview
    return await send(request, await artifacts_of(request).get(link.path))


def with_links(request: Request, artifact: Mapping[str, Any], sandbox_id: str) -> dict[str, Any]:
    """An artifact as this dialect shows it: what `execd.service.artifact.shown` says, which is also what the event
    `artifact` has, with fresh links in it."""
    sign = sandboxes_of(request).links.sign
    base = f"{base_of(request)}/v1/signed/artifacts"
    return {
        **artifact,
        "preview_url": f"{base}/{sign(Link(sandbox_id, _PREVIEW, artifact['id']))}",
        "download_url": f"{base}/{sign(Link(sandbox_id, _DOWNLOAD, artifact['id']))}",
    }


class _Threads:
    """Reads contents, which belong to no sandbox's files."""

    @property
    def files(self) -> _Threads:
        return self

    async def run(self, work: Callable[[], Result]) -> Result:
        return await to_thread.run_sync(work)


async def _asked(request: Request) -> ArtifactRow:
    artifact_id = str(request.path_params["artifact_id"])
    try:
        row = await artifacts_of(request).get(artifact_id)
    except ArtifactNotFound:
        await _check_sandbox(request)
        raise
    if row.sandbox_id != sandbox_id_of(request) or not may_see(row.tenant):
        await _check_sandbox(request)
        raise ArtifactNotFound(artifact_id)
    return row


async def _check_sandbox(request: Request) -> None:
    if not is_default(sandbox_id := sandbox_id_of(request)):
        sandboxes_of(request).get(sandbox_id)


async def _download(request: Request, row: ArtifactRow) -> Response:
    response = await _send(request, row)
    response.headers["Content-Type"] = row.mime_type
    return response


async def _preview(request: Request, row: ArtifactRow) -> Response:
    response = await _send(request, row)
    text = row.mime_type.startswith("text/") or row.mime_type in _TEXT
    response.headers["Content-Type"] = f"{row.mime_type}; charset=utf-8" if text else row.mime_type
    response.headers["Content-Disposition"] = content_disposition(row.name, "inline")
    if row.mime_type != "application/pdf":
        # Browsers show no PDF in a sandbox, and what is in one reaches nothing of ours.
        response.headers["Content-Security-Policy"] = _POLICY
    return response


async def _send(request: Request, row: ArtifactRow) -> Response:
    opened = await artifacts_of(request).open(row)
    try:
        response = await file_answer(request, _Threads(), opened, SANDBOX_ERRORS)
    except BaseException:
        opened.close()
        raise
    response.headers.update(_SAFE)
    return response


def _kind(given: str | None) -> str | None:
    if given is not None and given not in set(Kind):
        raise InvalidRequest(f"expected one of {', '.join(Kind)}, got {given[:40]!r}", "kind")
    return given


def _number(name: str, given: str | None) -> int | None:
    # A column of 32 bits; no run has such a number.
    return None if given is None else min(whole_number(name, given, 0), 2**31 - 1)


# Nothing in it runs, is sent anywhere, or is fetched from anywhere; it has an origin of its own.
_POLICY = "sandbox; default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'"
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
_TEXT = frozenset({"image/svg+xml", "application/json", "application/xml", "application/xhtml+xml"})

_ONE = "/{sandbox_id}/code/artifacts/{artifact_id}"
_SANDBOX = (SandboxNotFound, SandboxExpired)
_MISSING = (ArtifactNotFound, StorageFull, *_SANDBOX)
_RANGE = (
    Parameter("Range", "bytes=first-last, bytes=first- or bytes=-last; the first counts.", place="header"),
    Parameter("If-Range", "The ETag that the range is meant of; another one gives it all.", place="header"),
    Parameter("If-None-Match", "ETags that the client has.", place="header"),
)
_SENT = {
    "ETag": "The SHA-256 of the content.",
    "Content-Range": "The bytes that these are, with 206.",
}
_BYTES = Answer(
    "The content; 206 for a range, 304 when the client has it already", media_type="application/octet-stream"
)

OPERATIONS = (
    Operation(
        "GET",
        "/{sandbox_id}/code/artifacts",
        list_artifacts,
        "List artifacts",
        "artifacts",
        SANDBOX_ERRORS,
        Answer("The newest first", model=ArtifactList),
        parameters=(
            Parameter("context_id", "Only those of this context."),
            Parameter("execution_count", "Only those of the runs with this number.", type="integer"),
            Parameter("kind", "Only those of this kind: image, document, html or file."),
            Parameter("limit", f"How many, 1 to {MOST_LIMIT}; {DEFAULT_LIMIT} if none is given.", type="integer"),
            Parameter("cursor", "The next_cursor of the page before."),
        ),
        errors=(InvalidRequest, StorageFull, *_SANDBOX),
    ),
    Operation(
        "GET",
        _ONE,
        get_artifact,
        "Describe an artifact",
        "artifacts",
        SANDBOX_ERRORS,
        Answer(f"What there is to say of it; its links are good for {LIFETIME} s", model=ArtifactBody),
        errors=_MISSING,
    ),
    Operation(
        "GET",
        f"{_ONE}/download",
        download_artifact,
        "Download an artifact",
        "artifacts",
        SANDBOX_ERRORS,
        _BYTES,
        parameters=_RANGE,
        errors=(RangeUnsatisfiable, *_MISSING),
        headers={**_SENT, "Content-Disposition": "The artifact's name."},
    ),
    Operation(
        "GET",
        f"{_ONE}/preview",
        preview_artifact,
        "Show an artifact in a browser",
        "artifacts",
        SANDBOX_ERRORS,
        _BYTES,
        parameters=_RANGE,
        errors=(RangeUnsatisfiable, *_MISSING),
        headers={**_SENT, "Content-Security-Policy": "Nothing in it runs or is fetched; PDF has none."},
    ),
    Operation(
        "DELETE",
        _ONE,
        delete_artifact,
        "Delete an artifact",
        "artifacts",
        SANDBOX_ERRORS,
        Answer("It is gone", status=204),
        errors=_MISSING,
    ),
)

LINK_OPERATIONS = (
    Operation(
        "GET",
        "/v1/signed/artifacts/{token}",
        artifact_by_link,
        "Download or show the artifact of a link",
        "artifacts",
        SANDBOX_ERRORS,
        _BYTES,
        parameters=_RANGE,
        errors=(LinkInvalid, ArtifactNotFound, RangeUnsatisfiable, StorageFull),
    ),
)
