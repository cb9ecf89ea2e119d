"""/v1/files/signed/{token}: a file of a thread, out and in, by a URL that is its own key."""

from __future__ import annotations

from functools import partial
from pathlib import PurePath

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from execd.errors import (
    FileForbidden,
    FileNotFound,
    InvalidUpload,
    LinkInvalid,
    NotAFile,
    RangeUnsatisfiable,
    SandboxNotFound,
    StorageFull,
)
from execd.service.downloads import OpenFile
from execd.service.whole_file import WholeFile
from execd.wire.baponi.errors import BAPONI_ERRORS
from execd.wire.execd.transfers import file_answer
from execd.wire.nullspace.user_files import UserFiles
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import enter_sandbox, sandboxes_of

_BYTES = "application/octet-stream"


async def download_signed(request: Request) -> Response:
    """Send the file."""
    hand, path = await _meant(request, "download")
    opened = await hand.run(partial(OpenFile.open, hand.root, path))
    try:
        return await file_answer(request, hand, opened, BAPONI_ERRORS)
    except BaseException:
        opened.close()
        raise


async def upload_signed(request: Request) -> Response:
    """Take the file, the body as it is."""
    hand, path = await _meant(request, "upload")
    whole = await hand.run(partial(WholeFile, hand.root, path))
    try:
        async for block in request.stream():
            if block:
                await hand.run(partial(whole.write, block))
        await hand.run(whole.finish)
    except ClientDisconnect:
        raise InvalidUpload("the client went away before the body ended", "body") from None
    finally:
        with anyio.CancelScope(shield=True):
            await hand.run(whole.abandon)
    return Response()


async def _meant(request: Request, action: str) -> tuple[UserFiles, PurePath]:
    link = sandboxes_of(request).links.read(request.path_params["token"], action)
    await enter_sandbox(request, link.sandbox_id)
    return UserFiles(request), PurePath(link.path)


_RANGE = Parameter("Range", "bytes=first-last, bytes=first- or bytes=-last; the first counts.", place="header")

OPERATIONS = (
    Operation(
        "GET",
        "/v1/files/signed/{token}",
        download_signed,
        "Download the file of a URL",
        "files",
        BAPONI_ERRORS,
        Answer("The content", media_type=_BYTES),
        parameters=(_RANGE,),
        errors=(LinkInvalid, SandboxNotFound, FileNotFound, NotAFile, FileForbidden, RangeUnsatisfiable),
    ),
    Operation(
        "PUT",
        "/v1/files/signed/{token}",
        upload_signed,
        "Upload the file of a URL, the body as it is",
        "files",
        BAPONI_ERRORS,
        Answer("It is in its place, whole and on the disk"),
        errors=(LinkInvalid, SandboxNotFound, InvalidUpload, NotAFile, FileForbidden, StorageFull),
    ),
)
