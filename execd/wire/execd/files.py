"""Files: GET /files/info, GET /files/search, POST /files/mv, /files/permissions, /files/replace, DELETE /files."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from execd.errors import (
    DestinationExists,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    MissingQuery,
    NotADirectory,
    NotAFile,
    PathUnusable,
    StorageFull,
)
from execd.service.directories import searched
from execd.service.files import delete, info_of, move, set_permission
from execd.service.globs import Glob
from execd.service.replacing import replace_in
from execd.wire.body import read_model
from execd.wire.execd.acting import Acting
from execd.wire.execd.errors import DELETE_FILE_ERRORS, EXECD_ERRORS
from execd.wire.execd.file_schemas import (
    FileInfoBody,
    FileInfoByPath,
    Moves,
    PermissionsByPath,
    ReplacedByPath,
    Replacements,
)
from execd.wire.execd.infos import infos_response, shown
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of

_PATHS = Parameter("path", "A path; may be given several times.")
_FOLDER = Parameter("path", "A folder.", required=True)


async def get_files_info(request: Request) -> Response:
    """What is at each of the paths."""
    acting = Acting(request)
    paths = acting.queried_paths()
    found = {given: shown(await acting.run(partial(info_of, acting.root, path))) for given, path in paths}
    return JSONResponse(found)


async def delete_files(request: Request) -> Response:
    """Delete files; those that are not there are no failure."""
    acting = Acting(request)
    for _, path in acting.queried_paths():
        await acting.run(partial(delete, acting.root, path))
    return Response()


async def set_permissions(request: Request) -> Response:
    """Give files and folders another mode, owner or group."""
    acting = Acting(request)
    body = await read_model(request, PermissionsByPath, sandbox_of(request).settings.max_body)
    wanted = [(acting.path(given), asked.permission()) for given, asked in body.root.items()]
    for path, permission in wanted:
        await acting.run(partial(set_permission, acting.root, path, permission))
    return Response()


async def move_files(request: Request) -> Response:
    """Move files and folders, one after the other."""
    acting = Acting(request)
    body = await read_model(request, Moves, sandbox_of(request).settings.max_body)
    moves = [(acting.path(asked.src, "src"), acting.path(asked.dest, "dest")) for asked in body.root]
    for source, destination in moves:
        await acting.run(partial(move, acting.root, source, destination))
    return Response()


async def search_files(request: Request) -> Response:
    """The files below a folder whose base name fits a pattern."""
    acting = Acting(request)
    folder = acting.queried_path()
    glob = Glob(request.query_params.get("pattern") or "**")
    return await infos_response(acting, await acting.run(partial(searched, acting.root, folder, glob)))


async def replace_in_files(request: Request) -> Response:
    """Replace text in files."""
    acting = Acting(request)
    body = await read_model(request, Replacements, sandbox_of(request).settings.max_body)
    wanted = [(given, acting.path(given), asked.old.encode(), asked.new.encode()) for given, asked in body.root.items()]
    counts: dict[str, dict[str, int]] = {}
    for given, path, old, new in wanted:
        counts[given] = {"replacedCount": await acting.run(partial(replace_in, acting.root, path, old, new))}
    return JSONResponse(counts) if _is_true(request.query_params.get("verbose", "")) else Response()


def _is_true(given: str) -> bool:
    return given.lower() in ("1", "t", "true")


OPERATIONS = (
    Operation(
        "GET",
        "/files/info",
        get_files_info,
        "Show files, folders and symlinks",
        "files",
        EXECD_ERRORS,
        Answer("What is at each path, by the path as it was asked for", model=FileInfoByPath),
        parameters=(_PATHS,),
        errors=(InvalidRequest, FileNotFound, FileForbidden, PathUnusable),
    ),
    Operation(
        "GET",
        "/files/search",
        search_files,
        "Find files by their base names",
        "files",
        EXECD_ERRORS,
        Answer("The files, by path, at any depth", model=FileInfoBody, many=True),
        parameters=(_FOLDER, Parameter("pattern", "A pattern for the base name: * ? [a-z] {one,other}. Default: **")),
        errors=(InvalidRequest, MissingQuery, FileNotFound, NotADirectory, FileForbidden),
    ),
    Operation(
        "POST",
        "/files/mv",
        move_files,
        "Move files and folders",
        "files",
        EXECD_ERRORS,
        Answer("They have moved"),
        body=Moves,
        errors=(InvalidRequest, FileNotFound, DestinationExists, FileForbidden, StorageFull),
    ),
    Operation(
        "POST",
        "/files/permissions",
        set_permissions,
        "Set mode, owner and group of files and folders",
        "files",
        EXECD_ERRORS,
        Answer("They have them"),
        body=PermissionsByPath,
        errors=(InvalidRequest, FileNotFound, FileForbidden),
    ),
    Operation(
        "POST",
        "/files/replace",
        replace_in_files,
        "Replace text in files",
        "files",
        EXECD_ERRORS,
        Answer("It is replaced; with verbose=true, how often in each", model=ReplacedByPath),
        body=Replacements,
        parameters=(Parameter("verbose", "Answer with the numbers of replacements.", type="boolean"),),
        errors=(InvalidRequest, FileNotFound, NotAFile, FileForbidden, StorageFull),
    ),
    Operation(
        "DELETE",
        "/files",
        delete_files,
        "Delete files",
        "files",
        DELETE_FILE_ERRORS,
        Answer("They are not there"),
        parameters=(_PATHS,),
        errors=(InvalidRequest, NotAFile, FileFailed, FileForbidden),
    ),
)
