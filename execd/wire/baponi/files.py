"""/v1/files: what a thread keeps, listed, deleted, and handed over by URLs that are their own keys.

Everything is looked up in the thread's sandbox, as its user: what lies there may be made to lead anywhere, and leads
nowhere but into the sandbox.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePath

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    NotADirectory,
    SandboxFailed,
    SandboxNotReady,
    ThreadNotFound,
    TooManySandboxes,
)
from execd.isolation.root import Root
from execd.service.caller import Scope
from execd.service.directories import listed, remove
from execd.service.fileinfo import FileInfo
from execd.service.files import info_of
from execd.service.journal import now_ms
from execd.service.links import LIFETIME, Link
from execd.service.sandbox import Sandbox
from execd.wire.baponi.errors import BAPONI_ERRORS
from execd.wire.baponi.schemas import (
    BaponiDeleted,
    BaponiEntry,
    BaponiFile,
    BaponiFiles,
    BaponiHeader,
    BaponiList,
    BaponiPlace,
    BaponiSigned,
    BaponiUpload,
    ThreadId,
)
from execd.wire.body import read_model
from execd.wire.operation import Answer, Operation
from execd.wire.state import base_of, programs_of, sandboxes_of
from execd.wire.times import rfc3339

_BYTES = "application/octet-stream"
# What execd keeps in the home of every sandbox is nothing that the thread has made.
_OURS = frozenset({".venv", ".execd-envs", ".cache"})
_thread_id: TypeAdapter[str] = TypeAdapter(ThreadId)


async def list_thread_files(request: Request) -> Response:
    """What is in a folder that a thread keeps."""
    body = await read_model(request, BaponiList, sandboxes_of(request).settings.max_body)
    sandbox = await _thread(request, body)
    hidden = {f"{_home(sandbox)}/{name}" for name in _OURS} | {str(folder) for folder in sandbox.place.scratch}
    found = await sandbox.files.run(partial(_found, sandbox.place.root, f"{_home(sandbox)}/{body.path or ''}"))
    entries = [_entry(info, len(_home(sandbox)) + 1) for info in found if info.path not in hidden]
    return JSONResponse(BaponiFiles(files=entries).model_dump())


async def make_thread_upload_url(request: Request) -> Response:
    """A URL by which a file can be put into a thread, for a while. A thread that is not there yet is made."""
    body = await read_model(request, BaponiUpload, sandboxes_of(request).settings.max_body)
    sandbox = await _thread(request, body, make=True)
    kind = body.content_type or _BYTES
    return _signed(request, Link(sandbox.id, "upload", _path(sandbox, body)), "PUT", {"Content-Type": kind})


async def make_thread_download_url(request: Request) -> Response:
    """A URL by which a file can be fetched from a thread, for a while."""
    body = await read_model(request, BaponiFile, sandboxes_of(request).settings.max_body)
    sandbox = await _thread(request, body)
    path = _path(sandbox, body)
    await sandbox.files.run(partial(info_of, sandbox.place.root, PurePath(path)))
    return _signed(request, Link(sandbox.id, "download", path), "GET", {})


async def delete_thread_file(request: Request) -> Response:
    """Delete a file, or a folder with all that is in it."""
    body = await read_model(request, BaponiFile, sandboxes_of(request).settings.max_body)
    sandbox = await _thread(request, body)
    path = PurePath(_path(sandbox, body))
    await sandbox.files.run(partial(info_of, sandbox.place.root, path))
    await sandbox.files.run(partial(remove, sandbox.place.root, path))
    return JSONResponse(BaponiDeleted(deleted=True, path=body.path).model_dump())


async def _thread(request: Request, body: BaponiPlace, *, make: bool = False) -> Sandbox:
    if body.source == "volume":
        raise FileNotFound(f"volume {body.id[:128]}")
    try:
        thread = _thread_id.validate_python(body.id)
    except ValidationError:
        raise InvalidRequest("expected the id of a thread", "id") from None
    return await programs_of(request).thread(thread, make=make)


def _home(sandbox: Sandbox) -> str:
    return sandbox.place.variables["HOME"]


def _path(sandbox: Sandbox, body: BaponiFile) -> str:
    if not body.path:
        raise InvalidRequest("expected the path of a file", "path")
    return f"{_home(sandbox)}/{body.path}"


def _found(root: Root, folder: str) -> list[FileInfo]:
    try:
        return list(listed(root, PurePath(folder), 1))
    except FileNotFound:
        return []


def _entry(info: FileInfo, skipped: int) -> BaponiEntry:
    is_directory = info.type == "directory"
    return BaponiEntry(
        name=info.path.rpartition("/")[2],
        path=info.path[skipped:],
        size=0 if is_directory else info.size,
        modified=info.modified_at.isoformat().replace("+00:00", "Z"),
        is_directory=is_directory,
    )


def _signed(request: Request, link: Link, method: str, headers: dict[str, str]) -> Response:
    token = sandboxes_of(request).links.sign(link)
    signed = BaponiSigned(
        url=f"{base_of(request)}/v1/files/signed/{token}",
        method=method,
        headers=[BaponiHeader(name=name, value=value) for name, value in headers.items()],
        expires_at=rfc3339(now_ms() + LIFETIME * 1000),
    )
    return JSONResponse(signed.model_dump())


_THREAD = (InvalidRequest, ThreadNotFound, SandboxNotReady)

OPERATIONS = (
    Operation(
        "POST",
        "/v1/files/list",
        list_thread_files,
        "List what a thread keeps",
        "files",
        BAPONI_ERRORS,
        Answer("What is in the folder, nothing where there is none", model=BaponiFiles),
        body=BaponiList,
        scope=Scope.READ,
        errors=(NotADirectory, *_THREAD),
    ),
    Operation(
        "POST",
        "/v1/files/upload_url",
        make_thread_upload_url,
        "Make a URL to upload a file into a thread",
        "files",
        BAPONI_ERRORS,
        Answer(f"The URL, good for {LIFETIME} s, and the headers to send along", model=BaponiSigned),
        body=BaponiUpload,
        errors=(InvalidRequest, SandboxNotReady, TooManySandboxes, SandboxFailed),
    ),
    Operation(
        "POST",
        "/v1/files/download_url",
        make_thread_download_url,
        "Make a URL to download a file of a thread",
        "files",
        BAPONI_ERRORS,
        Answer(f"The URL, good for {LIFETIME} s", model=BaponiSigned),
        body=BaponiFile,
        scope=Scope.READ,
        errors=(FileNotFound, *_THREAD),
    ),
    Operation(
        "DELETE",
        "/v1/files",
        delete_thread_file,
        "Delete what a thread keeps",
        "files",
        BAPONI_ERRORS,
        Answer("It is gone", model=BaponiDeleted),
        body=BaponiFile,
        errors=(FileNotFound, FileForbidden, *_THREAD),
    ),
)
