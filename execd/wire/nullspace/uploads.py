"""Uploads in parts: begun, continued in any order, resumed, completed, aborted."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    FileForbidden,
    InvalidRequest,
    LimitReached,
    NotAFile,
    NotOffered,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    StorageFull,
    UploadConflict,
    UploadNotFound,
)
from execd.isolation.shown import shown as shown_path
from execd.service.part_uploads import MOST_AT_ONCE, MOST_BYTES, PART_SIZE, PartUpload, UploadRequest
from execd.wire.body import parse_model, read_bytes, read_model
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.file_schemas import (
    CompletedUpload,
    CompleteUpload,
    NewUpload,
    StartedUpload,
    UploadLimits,
    UploadSession,
)
from execd.wire.nullspace.generation import generation_of
from execd.wire.nullspace.user_files import UserFiles
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_of
from execd.wire.times import rfc3339

_CHECKSUM = "x-nullspace-part-sha256"


async def create_upload(request: Request) -> Response:
    """Begin an upload in parts."""
    sandbox = sandbox_of(request)
    body = await read_model(request, NewUpload, sandbox.settings.max_body)
    if body.kind != "file":
        raise NotOffered(f"kind: this service takes single files, got {body.kind!r}")
    wanted = UploadRequest(
        path=UserFiles(request, body.user).path(body.target_path, "target_path"),
        size=body.content_length,
        source_kind=body.source_kind,
        conflict=body.conflict,
        user=body.user,
        sha256=body.whole_checksum_sha256,
    )
    return JSONResponse({"session": _shown(request, sandbox.part_uploads.start(wanted))}, 201)


async def get_upload(request: Request) -> Response:
    """How far an upload is."""
    return JSONResponse(_shown(request, _upload(request)))


async def put_part(request: Request) -> Response:
    """Take a part."""
    upload = _upload(request)
    number = whole_number("part_number", request.path_params["part_number"], 0)
    content = await read_bytes(request, PART_SIZE)
    checksum = request.headers.get(_CHECKSUM)
    await _hand(request, upload).run(partial(upload.put, number, content, checksum))
    return JSONResponse(_shown(request, upload))


async def complete_upload(request: Request) -> Response:
    """Put the file in its place."""
    upload = _upload(request)
    raw = await read_bytes(request, sandbox_of(request).settings.max_body)
    body = parse_model(raw if raw.strip() not in (b"", b"null") else b"{}", CompleteUpload)
    hand = _hand(request, upload)
    await hand.run(partial(upload.complete, hand.root, body.whole_checksum_sha256))
    told = {"session": _shown(request, upload), "published_bytes": upload.wanted.size, "published_file_count": 1}
    upload.close("completed")
    return JSONResponse(told)


async def abort_upload(request: Request) -> Response:
    """Forget an upload."""
    sandbox_of(request).part_uploads.abort(request.path_params["upload_id"])
    return Response(status_code=204)


def _upload(request: Request) -> PartUpload:
    return sandbox_of(request).part_uploads.get(request.path_params["upload_id"])


def _hand(request: Request, upload: PartUpload) -> UserFiles:
    return UserFiles(request, upload.wanted.user)


def _shown(request: Request, upload: PartUpload) -> dict[str, Any]:
    quota = {f"{generation_of(request).noun}_staging_quota_bytes": MOST_BYTES}
    limits = UploadLimits(max_upload_bytes=MOST_BYTES, max_part_bytes=PART_SIZE, max_concurrency=MOST_AT_ONCE, **quota)
    wanted = upload.wanted
    session = UploadSession(
        upload_id=upload.id,
        kind="file",
        source_kind=wanted.source_kind,
        target_path=shown_path(wanted.path),
        content_length=wanted.size,
        accepted_bytes=upload.accepted,
        reserved_staging_bytes=wanted.size,
        part_size=PART_SIZE,
        part_count=wanted.part_count,
        max_concurrency=MOST_AT_ONCE,
        status=upload.status,
        conflict=wanted.conflict,
        checksum_algorithm="sha256",
        limits=limits,
        created_at=rfc3339(upload.created_at),
        updated_at=rfc3339(upload.updated_at),
        expires_at=rfc3339(upload.expires_at),
        user=wanted.user,
        next_part=upload.next_part,
        whole_checksum_sha256=wanted.sha256,
    )
    return session.model_dump(exclude_none=True)


_UPLOADS = "/{sandbox_id}/uploads"
_ONE = f"{_UPLOADS}/{{upload_id}}"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)

OPERATIONS = (
    Operation(
        "POST",
        _UPLOADS,
        create_upload,
        "Begin an upload in parts",
        "files",
        SANDBOX_ERRORS,
        Answer("The upload", status=201, model=StartedUpload),
        body=NewUpload,
        parameters=(Parameter("Idempotency-Key", "Taken, and not looked at.", place="header"),),
        errors=(InvalidRequest, NotOffered, LimitReached, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "GET",
        _ONE,
        get_upload,
        "How far an upload is",
        "files",
        SANDBOX_ERRORS,
        Answer("The upload", model=UploadSession),
        errors=(UploadNotFound, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "PUT",
        f"{_ONE}/parts/{{part_number}}",
        put_part,
        "Upload a part, counted from 0",
        "files",
        SANDBOX_ERRORS,
        Answer("The upload", model=UploadSession),
        parameters=(Parameter(_CHECKSUM, "The part's SHA-256, in hexadecimal.", place="header"),),
        errors=(InvalidRequest, UploadNotFound, UploadConflict, StorageFull, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_ONE}/complete",
        complete_upload,
        "Put the file in its place",
        "files",
        SANDBOX_ERRORS,
        Answer("The upload, and what was published", model=CompletedUpload),
        body=CompleteUpload,
        body_required=False,
        errors=(
            InvalidRequest,
            UploadNotFound,
            UploadConflict,
            NotAFile,
            FileForbidden,
            StorageFull,
            *_SANDBOX,
        ),
        enters=True,
    ),
    Operation(
        "DELETE",
        _ONE,
        abort_upload,
        "Abort an upload",
        "files",
        SANDBOX_ERRORS,
        Answer("It is forgotten", status=204),
        errors=(UploadNotFound, *_SANDBOX),
        enters=True,
    ),
)
