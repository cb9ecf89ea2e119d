"""Whole files of a sandbox as bytes: sent, taken, many at once, and by links that are their own key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import PurePath
from typing import Any

import anyio
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    ContentMissing,
    ExecdError,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    InvalidUpload,
    LinkInvalid,
    MetadataMissing,
    MissingQuery,
    NotAFile,
    RangeUnsatisfiable,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    StorageFull,
)
from execd.service.downloads import OpenFile
from execd.service.links import LIFETIME, Link
from execd.service.whole_file import WholeFile
from execd.wire.body import parse_model, read_model
from execd.wire.execd.transfers import file_answer
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.file_schemas import (
    BatchForm,
    BatchResult,
    DownloadLink,
    FileForm,
    Manifest,
    PathBody,
    UploadLink,
)
from execd.wire.nullspace.user_files import UserFiles, shown
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import base_of, enter_sandbox, sandbox_id_of, sandboxes_of

_BLOCK = 1024 * 1024
_MOST_PARTS = 100_000
_MOST_MANIFEST = 16 * 1024 * 1024


async def download_raw(request: Request) -> Response:
    """Send a file."""
    hand = UserFiles(request, request.query_params.get("user"))
    return await _send(request, hand, hand.path(_queried(request)))


async def upload_raw(request: Request) -> Response:
    """Take a file: the body as it is, or the part named file of a form."""
    hand = UserFiles(request, request.query_params.get("user"))
    await _take(request, hand, hand.path(_queried(request)))
    return Response(status_code=204)


async def batch_write_files(request: Request) -> Response:
    """Take many files; what became of each is told."""
    async with _form(request) as parts:
        manifest = await _manifest(parts)
        hand = UserFiles(request, manifest.user)
        results: list[dict[str, Any]] = []
        for entry in manifest.files:
            try:
                info = await _store(hand, hand.path(entry.path), _part(parts, entry.field))
                results.append({"status": "success", "path": entry.path, "info": info})
            except ExecdError as error:
                results.append({"status": "error", "path": entry.path, "error": str(error)})
    return JSONResponse({"results": results})


async def make_download_url(request: Request) -> Response:
    """A link by which anybody may fetch a file, for a while."""
    url, _ = await _link(request, "download")
    return JSONResponse({"url": url})


async def make_upload_url(request: Request) -> Response:
    """A link by which anybody may write a file, for a while."""
    url, token = await _link(request, "upload")
    return JSONResponse({"url": url, "token": token})


async def download_by_link(request: Request) -> Response:
    """Send the file that a link is good for."""
    hand, path = await _linked(request, "download")
    return await _send(request, hand, path)


async def upload_by_link(request: Request) -> Response:
    """Take the file that a link is good for."""
    hand, path = await _linked(request, "upload")
    await _take(request, hand, path)
    return Response(status_code=204)


async def _send(request: Request, hand: UserFiles, path: PurePath) -> Response:
    opened = await hand.run(partial(OpenFile.open, hand.root, path))
    try:
        return await file_answer(request, hand, opened, SANDBOX_ERRORS)
    except BaseException:
        opened.close()
        raise


async def _take(request: Request, hand: UserFiles, path: PurePath) -> None:
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with _form(request) as parts:
            await _store(hand, path, _part(parts, "file"))
        return
    try:
        await _write(hand, path, request.stream())
    except ClientDisconnect:
        raise InvalidUpload("the client went away before the body ended", "body") from None


async def _store(hand: UserFiles, path: PurePath, part: UploadFile) -> dict[str, Any]:
    return await _write(hand, path, _blocks(part))


async def _write(hand: UserFiles, path: PurePath, blocks: AsyncIterator[bytes]) -> dict[str, Any]:
    whole = await hand.run(partial(WholeFile, hand.root, path))
    try:
        async for block in blocks:
            if block:
                await hand.run(partial(whole.write, block))
        info = await hand.run(whole.finish)
        return await hand.run(partial(shown, hand.root, info))
    finally:
        with anyio.CancelScope(shield=True):
            await hand.run(whole.abandon)


async def _blocks(part: UploadFile) -> AsyncIterator[bytes]:
    while block := await part.read(_BLOCK):
        yield block


@asynccontextmanager
async def _form(request: Request) -> AsyncIterator[dict[str, UploadFile | str]]:
    """The parts of a form by their names; large ones wait on the disk."""
    try:
        async with request.form(max_files=_MOST_PARTS, max_fields=_MOST_PARTS, max_part_size=_MOST_MANIFEST) as form:
            yield dict(form)
    except ClientDisconnect:
        raise InvalidUpload("the client went away before the body ended", "body") from None
    except HTTPException as error:
        raise InvalidUpload(f"expected multipart/form-data: {error.detail}", "body") from error


async def _manifest(parts: dict[str, UploadFile | str]) -> Manifest:
    given = parts.get("manifest")
    if given is None:
        raise MetadataMissing("expected a part named manifest that names the files", "manifest")
    raw = given.encode() if isinstance(given, str) else await given.read(_MOST_MANIFEST)
    return parse_model(raw, Manifest)


def _part(parts: dict[str, UploadFile | str], name: str) -> UploadFile:
    found = parts.get(name)
    if not isinstance(found, UploadFile):
        raise ContentMissing
    return found


def _queried(request: Request) -> str:
    given = request.query_params.get("path", "")
    if not given:
        raise MissingQuery("path", "a path")
    return given


async def _link(request: Request, action: str) -> tuple[str, str]:
    sandboxes = sandboxes_of(request)
    body = await read_model(request, PathBody, sandboxes.settings.max_body)
    # A path that cannot be meant is refused now, not when the link is used.
    UserFiles(request, body.user).path(body.path)
    token = sandboxes.links.sign(Link(sandbox_id_of(request), action, body.path, body.user or ""))
    return f"{base_of(request)}/v1/signed/{token}", token


async def _linked(request: Request, action: str) -> tuple[UserFiles, PurePath]:
    link = sandboxes_of(request).links.read(request.path_params["token"], action)
    await enter_sandbox(request, link.sandbox_id)
    hand = UserFiles(request, link.user or None)
    return hand, hand.path(link.path)


_ONE = "/{sandbox_id}"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)
_TAKEN = (InvalidRequest, InvalidUpload, NotAFile, FileForbidden, StorageFull)
_SENT = (FileNotFound, NotAFile, FileForbidden, RangeUnsatisfiable)
_PATH = (Parameter("path", "A file.", required=True), Parameter("user", "Who reads or writes."))
_RANGE = Parameter("Range", "bytes=first-last, bytes=first- or bytes=-last; the first counts.", place="header")
_BYTES = "application/octet-stream"

OPERATIONS = (
    Operation(
        "GET",
        f"{_ONE}/file",
        download_raw,
        "Download a file",
        "files",
        SANDBOX_ERRORS,
        Answer("The content; 206 for a range, 304 when the client has it already", media_type=_BYTES),
        parameters=(*_PATH, _RANGE),
        errors=(InvalidRequest, MissingQuery, *_SENT, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "PUT",
        f"{_ONE}/file",
        upload_raw,
        "Upload a file, the body as it is",
        "files",
        SANDBOX_ERRORS,
        Answer("It is in its place, whole and on the disk", status=204),
        parameters=_PATH,
        errors=(MissingQuery, *_TAKEN, *_SANDBOX),
        enters=True,
        operation_id="upload_raw",
    ),
    Operation(
        "POST",
        f"{_ONE}/file",
        upload_raw,
        "Upload a file, as a form",
        "files",
        SANDBOX_ERRORS,
        Answer("It is in its place, whole and on the disk", status=204),
        body=FileForm,
        body_type="multipart/form-data",
        parameters=_PATH,
        errors=(MissingQuery, ContentMissing, *_TAKEN, *_SANDBOX),
        enters=True,
        operation_id="upload_form",
    ),
    Operation(
        "POST",
        f"{_ONE}/files/batch-write",
        batch_write_files,
        "Write many files",
        "files",
        SANDBOX_ERRORS,
        Answer("What became of each", model=BatchResult),
        body=BatchForm,
        body_type="multipart/form-data",
        errors=(InvalidUpload, MetadataMissing, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_ONE}/files/download-url",
        make_download_url,
        "Make a link to download a file",
        "files",
        SANDBOX_ERRORS,
        Answer(f"The link, good for {LIFETIME} s", model=DownloadLink),
        body=PathBody,
        errors=(InvalidRequest, *_SANDBOX),
        enters=True,
    ),
    Operation(
        "POST",
        f"{_ONE}/files/upload-url",
        make_upload_url,
        "Make a link to upload a file",
        "files",
        SANDBOX_ERRORS,
        Answer(f"The link, good for {LIFETIME} s; the token is the one in it", model=UploadLink),
        body=PathBody,
        errors=(InvalidRequest, *_SANDBOX),
        enters=True,
    ),
)

LINK_OPERATIONS = (
    Operation(
        "GET",
        "/v1/signed/{token}",
        download_by_link,
        "Download the file of a link",
        "files",
        SANDBOX_ERRORS,
        Answer("The content", media_type=_BYTES),
        parameters=(_RANGE,),
        errors=(LinkInvalid, *_SENT, *_SANDBOX),
    ),
    Operation(
        "PUT",
        "/v1/signed/{token}",
        upload_by_link,
        "Upload the file of a link, the body as it is",
        "files",
        SANDBOX_ERRORS,
        Answer("It is in its place, whole and on the disk", status=204),
        errors=(LinkInvalid, *_TAKEN, *_SANDBOX),
        operation_id="upload_by_link",
    ),
    Operation(
        "POST",
        "/v1/signed/{token}",
        upload_by_link,
        "Upload the file of a link, as a form",
        "files",
        SANDBOX_ERRORS,
        Answer("It is in its place, whole and on the disk", status=204),
        body=FileForm,
        body_type="multipart/form-data",
        errors=(LinkInvalid, ContentMissing, *_TAKEN, *_SANDBOX),
        operation_id="upload_by_link_form",
    ),
)
