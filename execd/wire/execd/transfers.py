"""Files in and out: POST /files/upload, GET /files/download."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execd.errors import (
    ContentMissing,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    InvalidUpload,
    MetadataMissing,
    MissingQuery,
    NotAFile,
    PathUnusable,
    RangeUnsatisfiable,
    StorageFull,
)
from execd.isolation.shown import shown
from execd.service.downloads import READ_BYTES, ByteRange, OpenFile, parse_range
from execd.service.lines import LineWindow
from execd.service.uploads import BATCH_BYTES, Destination, Upload
from execd.wire.body import parse_model
from execd.wire.download import Download, byte_pieces, content_disposition, line_pieces, pieces_to_end, read
from execd.wire.errors import ErrorTable
from execd.wire.execd.acting import Acting, Hand
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.file_schemas import FileMetadata, UploadForm
from execd.wire.operation import Answer, Operation, Parameter


async def upload_files(request: Request) -> Response:
    """Take files; each is in its place, whole and on the disk, when this answers."""
    acting = Acting(request)
    upload = Upload(acting.root, request.headers.get("content-type", ""), partial(_destination, acting))
    try:
        async for batch in _batches(request):
            await acting.run(partial(upload.feed, batch))
        await acting.run(upload.finish)
    except ClientDisconnect:
        raise InvalidUpload("the client went away before the body ended", "body") from None
    finally:
        with anyio.CancelScope(shield=True):
            await acting.run(upload.abandon)
    return Response()


async def download_file(request: Request) -> Response:
    """Send a file, a range of its bytes, or some of its lines."""
    acting = Acting(request)
    path = acting.queried_path()
    window = _window(request)
    opened = await acting.run(partial(OpenFile.open, acting.root, path))
    try:
        if window is not None:
            return _lines(acting, opened, window)
        return await file_answer(request, acting, opened, EXECD_ERRORS)
    except BaseException:
        opened.close()
        raise


async def _batches(request: Request) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _destination(acting: Acting, metadata: bytes) -> Destination:
    try:
        parsed = parse_model(metadata, FileMetadata)
        return Destination(acting.path(parsed.path), parsed.permission())
    except InvalidRequest as error:
        raise MetadataMissing(str(error), "metadata") from error


def _window(request: Request) -> LineWindow | None:
    query = request.query_params
    if "offset" not in query and "limit" not in query:
        return None
    if "range" in request.headers:
        raise InvalidRequest("expected either lines (offset, limit) or a Range header, got both", "offset")
    limit = _line_number("limit", query["limit"]) if query.get("limit") else None
    return LineWindow(_line_number("offset", query.get("offset") or "1"), limit)


def _line_number(name: str, given: str) -> int:
    if not (given.isascii() and given.isdigit() and len(given) < 19 and int(given) > 0):
        raise InvalidRequest(f"expected a whole number from 1 on, got {given[:40]!r}", name)
    return int(given)


def _lines(acting: Acting, opened: OpenFile, window: LineWindow) -> Response:
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return Download(opened, line_pieces(acting.files, opened, window), 200, headers)


async def file_answer(request: Request, hand: Hand, opened: OpenFile, dialect: ErrorTable) -> Response:
    """The file, or what the Range header asks of it; 304 for what the client has already. The answer closes it."""
    try:
        return await _bytes(request, hand, opened)
    except RangeUnsatisfiable as error:
        opened.close()
        refused = dialect.response(error)
        refused.headers["Content-Range"] = f"bytes */{error.size}"
        return refused


async def _bytes(request: Request, hand: Hand, opened: OpenFile) -> Response:
    headers = {"ETag": opened.etag, "Last-Modified": opened.last_modified, "Accept-Ranges": "bytes"}
    if _has_it_already(request.headers.get("if-none-match", ""), opened.etag):
        opened.close()
        return Response(status_code=304, headers=headers)
    headers["Content-Type"] = "application/octet-stream"
    headers["Content-Disposition"] = content_disposition(shown(opened.path.name))
    asked = request.headers.get("range")
    if await _tells_no_size(hand, opened):
        return Download(opened, pieces_to_end(hand.files, opened), 200, headers)
    if asked is None or request.headers.get("if-range", opened.etag) not in (opened.etag, opened.last_modified):
        wanted, status = ByteRange(0, opened.size - 1), 200
    else:
        wanted, status = parse_range(asked, opened.size), 206
        headers["Content-Range"] = f"bytes {wanted.first}-{wanted.last}/{opened.size}"
    headers["Content-Length"] = str(wanted.size)
    return Download(opened, byte_pieces(hand.files, opened, wanted), status, headers)


def _has_it_already(if_none_match: str, etag: str) -> bool:
    known = [given.strip().removeprefix("W/") for given in if_none_match.split(",")]
    return "*" in known or etag in known


async def _tells_no_size(hand: Hand, opened: OpenFile) -> bool:
    # Files of /proc say that they are empty, files of /sys that they have a page.
    if opened.size > READ_BYTES:
        return False
    wanted = opened.size + 1
    if len(await read(hand.files, opened, 0, wanted)) == opened.size:
        return False
    # What is in memory may be less than what there is.
    return len(await hand.run(partial(opened.read, 0, wanted))) != opened.size


OPERATIONS = (
    Operation(
        "POST",
        "/files/upload",
        upload_files,
        "Upload files",
        "files",
        EXECD_ERRORS,
        Answer("Every file is in its place, whole and on the disk"),
        body=UploadForm,
        body_type="multipart/form-data",
        errors=(
            InvalidRequest,
            InvalidUpload,
            MetadataMissing,
            ContentMissing,
            NotAFile,
            PathUnusable,
            FileForbidden,
            FileFailed,
            StorageFull,
        ),
    ),
    Operation(
        "GET",
        "/files/download",
        download_file,
        "Download a file, a range of its bytes, or some of its lines",
        "files",
        EXECD_ERRORS,
        Answer(
            "The content; 206 for a range, 304 when the client has it already", media_type="application/octet-stream"
        ),
        parameters=(
            Parameter("path", "A regular file.", required=True),
            Parameter("offset", "The first line wanted, from 1 on; answers with text.", type="integer"),
            Parameter("limit", "How many lines are wanted; answers with text.", type="integer"),
            Parameter("Range", "bytes=first-last, bytes=first- or bytes=-last; the first counts.", place="header"),
            Parameter("If-Range", "The ETag that the range is meant of; another one gives it all.", place="header"),
            Parameter("If-None-Match", "ETags that the client has.", place="header"),
        ),
        errors=(InvalidRequest, MissingQuery, FileNotFound, NotAFile, FileForbidden, RangeUnsatisfiable),
        headers={
            "ETag": "Changes whenever the content may have.",
            "Content-Disposition": "The file's name.",
            "Content-Range": "The bytes that these are, with 206.",
        },
    ),
)
