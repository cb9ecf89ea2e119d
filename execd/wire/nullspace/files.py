"""Files of a sandbox: read, written, listed, shown, made, moved, removed, searched."""

from __future__ import annotations

import base64
import binascii
from dataclasses import asdict
from functools import partial

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    ExecdError,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    NotADirectory,
    NotAFile,
    PathUnusable,
    SandboxExpired,
    SandboxNotFound,
    SandboxNotReady,
    StorageFull,
)
from execd.service.directories import listed, make, remove, searched
from execd.service.downloads import OpenFile
from execd.service.files import info_of, move, set_permission
from execd.service.finding import found_in
from execd.service.globs import Glob
from execd.service.ownership import Permission
from execd.service.replacing import replace_in
from execd.service.whole_file import write_file
from execd.wire.body import Model, read_model
from execd.wire.nullspace.errors import SANDBOX_ERRORS
from execd.wire.nullspace.file_schemas import (
    Exists,
    FileContent,
    MatchBody,
    ModeBody,
    NullspaceFile,
    PathBody,
    PatternBody,
    ReadBody,
    RenameBody,
    ReplaceBody,
    ReplaceResult,
    WriteBody,
)
from execd.wire.nullspace.user_files import UserFiles, shown
from execd.wire.operation import Answer, Endpoint, Operation, Parameter
from execd.wire.query import whole_number
from execd.wire.state import sandbox_of

_MOST_READ = 64 * 1024 * 1024
_BINARY_LOOK = 8192


async def read_file(request: Request) -> Response:
    """A file's content, as text or in base64."""
    body = await _body(request, ReadBody)
    hand = UserFiles(request, body.user)
    content = await hand.run(partial(_content, hand, body.path))
    text = base64.b64encode(content).decode() if body.encoding == "base64" else _as_text(content, body.path)
    return JSONResponse(FileContent(content=text, encoding=body.encoding, size=len(content)).model_dump())


async def write_text_file(request: Request) -> Response:
    """Give a file new content; folders above it are made."""
    body = await _body(request, WriteBody)
    hand = UserFiles(request, body.user)
    info = await hand.run(partial(write_file, hand.root, hand.path(body.path), _as_bytes(body)))
    return JSONResponse(await hand.run(partial(shown, hand.root, info)))


async def list_files(request: Request) -> Response:
    """What is in a folder, down to some depth."""
    query = request.query_params
    hand = UserFiles(request, query.get("user"))
    folder = hand.path(query.get("path") or "/")
    depth = whole_number("depth", query.get("depth", ""), 1)
    return JSONResponse(await hand.run(lambda: [shown(hand.root, info) for info in listed(hand.root, folder, depth)]))


async def file_info(request: Request) -> Response:
    """What is at a path."""
    body = await _body(request, PathBody)
    hand = UserFiles(request, body.user)
    return JSONResponse(await hand.info(hand.path(body.path)))


async def file_exists(request: Request) -> Response:
    """Whether anything is at a path."""
    body = await _body(request, PathBody)
    hand = UserFiles(request, body.user)
    try:
        await hand.info(hand.path(body.path))
    except (FileNotFound, PathUnusable):
        return JSONResponse({"exists": False})
    return JSONResponse({"exists": True})


async def make_folder(request: Request) -> Response:
    """Make a folder, and those above it."""
    body = await _body(request, PathBody)
    hand = UserFiles(request, body.user)
    await hand.run(partial(make, hand.root, hand.path(body.path), Permission()))
    return Response(status_code=204)


async def remove_file(request: Request) -> Response:
    """Remove a file, or a folder with all that is in it."""
    body = await _body(request, PathBody)
    hand = UserFiles(request, body.user)
    path = hand.path(body.path)
    await hand.run(partial(info_of, hand.root, path))
    await hand.run(partial(remove, hand.root, path))
    return Response(status_code=204)


async def rename_file(request: Request) -> Response:
    """Move a file or folder."""
    body = await _body(request, RenameBody)
    hand = UserFiles(request, body.user)
    target = hand.path(body.new_path, "new_path")
    await hand.run(partial(move, hand.root, hand.path(body.old_path, "old_path"), target))
    return JSONResponse(await hand.info(target))


async def set_file_permissions(request: Request) -> Response:
    """Give a file or folder another mode."""
    body = await _body(request, ModeBody)
    hand = UserFiles(request, body.user)
    await hand.run(partial(set_permission, hand.root, hand.path(body.path), Permission(int(body.permissions, 8))))
    return Response(status_code=204)


async def search_file_names(request: Request) -> Response:
    """The paths of files whose base names fit a pattern."""
    body = await _body(request, PatternBody)
    hand = UserFiles(request, body.user)
    folder, glob = hand.path(body.path), Glob(body.pattern)
    return JSONResponse(await hand.run(lambda: [info.path for info in searched(hand.root, folder, glob)]))


async def find_in_files(request: Request) -> Response:
    """The lines that hold a text."""
    body = await _body(request, PatternBody)
    hand = UserFiles(request, body.user)
    matches = await hand.run(partial(found_in, hand.root, hand.path(body.path), body.pattern))
    return JSONResponse([asdict(match) for match in matches])


async def replace_text_in_files(request: Request) -> Response:
    """Replace a text in files."""
    body = await _body(request, ReplaceBody)
    hand = UserFiles(request, body.user)
    result = ReplaceResult(replacements=0, files_modified=0, files_skipped=0, binary_files_skipped=0)
    for given in body.files:
        path = hand.path(given, "files")
        if await hand.run(partial(_is_binary, hand, given)):
            result.binary_files_skipped += 1
            continue
        count = await hand.run(partial(replace_in, hand.root, path, body.pattern.encode(), body.replacement.encode()))
        result.replacements += count
        result.files_modified += count > 0
        result.files_skipped += count == 0
    return JSONResponse(result.model_dump())


async def _body(request: Request, model: type[Model]) -> Model:
    return await read_model(request, model, sandbox_of(request).settings.max_body)


def _content(hand: UserFiles, given: str) -> bytes:
    opened = OpenFile.open(hand.root, hand.path(given))
    try:
        if opened.size > _MOST_READ:
            raise FileFailed(f"{given!r} is larger than {_MOST_READ} bytes; GET …/file sends files of any size")
        pieces: list[bytes] = []
        while piece := opened.read(sum(map(len, pieces)), _MOST_READ):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        opened.close()


def _is_binary(hand: UserFiles, given: str) -> bool:
    opened = OpenFile.open(hand.root, hand.path(given, "files"))
    try:
        return b"\0" in opened.read(0, _BINARY_LOOK)
    finally:
        opened.close()


def _as_text(content: bytes, given: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise FileFailed(f"{given!r} is not text in UTF-8; ask for it in base64, or as bytes") from None


def _as_bytes(body: WriteBody) -> bytes:
    if body.encoding == "utf8":
        return body.content.encode()
    try:
        return base64.b64decode(body.content, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("expected base64", "content") from None


_FILES = "/{sandbox_id}/files"
_SANDBOX = (SandboxNotFound, SandboxExpired, SandboxNotReady)
_PATH = (InvalidRequest, FileNotFound, FileForbidden, PathUnusable)


def _operation(
    verb: str, endpoint: Endpoint, summary: str, answer: Answer, body: type[BaseModel], *errors: type[ExecdError]
) -> Operation:
    return Operation(
        "POST",
        f"{_FILES}/{verb}",
        endpoint,
        summary,
        "files",
        SANDBOX_ERRORS,
        answer,
        body=body,
        errors=(*_PATH, *errors, *_SANDBOX),
        enters=True,
    )


OPERATIONS = (
    _operation("read", read_file, "Read a file", Answer("Its content", model=FileContent), ReadBody, NotAFile),
    _operation(
        "write",
        write_text_file,
        "Write a file",
        Answer("The file", model=NullspaceFile),
        WriteBody,
        NotAFile,
        StorageFull,
    ),
    Operation(
        "GET",
        _FILES,
        list_files,
        "List a folder",
        "files",
        SANDBOX_ERRORS,
        Answer("What is in it, each folder before what is in it", model=NullspaceFile, many=True),
        parameters=(
            Parameter("path", "A folder; / without one."),
            Parameter("depth", "How many levels: 1.", type="integer"),
            Parameter("user", "Who looks."),
        ),
        errors=(*_PATH, NotADirectory, *_SANDBOX),
        enters=True,
    ),
    _operation("info", file_info, "Show a file", Answer("The file", model=NullspaceFile), PathBody),
    _operation("exists", file_exists, "Whether there is a file", Answer("Whether there is", model=Exists), PathBody),
    _operation("mkdir", make_folder, "Make a folder", Answer("It is there", status=204), PathBody, NotADirectory),
    _operation("remove", remove_file, "Remove a file or folder", Answer("It is gone", status=204), PathBody),
    _operation(
        "rename",
        rename_file,
        "Move a file or folder",
        Answer("What is at the new path", model=NullspaceFile),
        RenameBody,
        FileFailed,
    ),
    _operation(
        "permissions", set_file_permissions, "Set the mode of a file", Answer("It has it", status=204), ModeBody
    ),
    _operation(
        "search",
        search_file_names,
        "Find files by their base names",
        Answer("Their paths, a list of strings", media_type="application/json"),
        PatternBody,
        NotADirectory,
    ),
    _operation(
        "find",
        find_in_files,
        "Find lines that hold a text, taken literally",
        Answer("The lines", model=MatchBody, many=True),
        PatternBody,
        NotADirectory,
    ),
    _operation(
        "replace",
        replace_text_in_files,
        "Replace a text, taken literally, in files",
        Answer("How much was replaced", model=ReplaceResult),
        ReplaceBody,
        NotAFile,
        StorageFull,
    ),
)
