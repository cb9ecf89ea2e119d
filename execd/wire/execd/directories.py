"""Folders: GET /directories/list, POST and DELETE /directories."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from execd.errors import FileForbidden, FileNotFound, InvalidRequest, MissingQuery, NotADirectory, StorageFull
from execd.service.directories import listed, make, remove
from execd.wire.body import read_model
from execd.wire.execd.acting import Acting
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.execd.file_schemas import FileInfoBody, PermissionsByPath
from execd.wire.execd.infos import infos_response
from execd.wire.operation import Answer, Operation, Parameter
from execd.wire.state import sandbox_of


async def list_directory(request: Request) -> Response:
    """What is in a folder, and in the folders in it, down to a depth."""
    acting = Acting(request)
    folder = acting.queried_path()
    depth = _depth(request.query_params.get("depth", ""))
    return await infos_response(acting, await acting.run(partial(listed, acting.root, folder, depth)))


async def make_directories(request: Request) -> Response:
    """Make folders, and those above them."""
    acting = Acting(request)
    body = await read_model(request, PermissionsByPath, sandbox_of(request).settings.max_body)
    wanted = [(acting.path(given), asked.permission()) for given, asked in body.root.items()]
    for folder, permission in wanted:
        await acting.run(partial(make, acting.root, folder, permission))
    return Response()


async def delete_directories(request: Request) -> Response:
    """Remove folders with all that is in them; those that are not there are no failure."""
    acting = Acting(request)
    for _, folder in acting.queried_paths():
        await acting.run(partial(remove, acting.root, folder))
    return Response()


def _depth(given: str) -> int:
    if not given:
        return 1
    if not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise InvalidRequest(f"expected a whole number from 0 on, got {given[:40]!r}", "depth")
    return int(given)


OPERATIONS = (
    Operation(
        "GET",
        "/directories/list",
        list_directory,
        "List a folder",
        "directories",
        EXECD_ERRORS,
        Answer("What is in it, by name, each folder before what is in it", model=FileInfoBody, many=True),
        parameters=(
            Parameter("path", "A folder; neither a file nor a symlink.", required=True),
            Parameter("depth", "How many levels to show: 1 by default, 0 shows nothing.", type="integer"),
        ),
        errors=(InvalidRequest, MissingQuery, FileNotFound, NotADirectory, FileForbidden),
    ),
    Operation(
        "POST",
        "/directories",
        make_directories,
        "Make folders",
        "directories",
        EXECD_ERRORS,
        Answer("They are there; those that are new have what was asked for"),
        body=PermissionsByPath,
        errors=(InvalidRequest, NotADirectory, FileForbidden, StorageFull),
    ),
    Operation(
        "DELETE",
        "/directories",
        delete_directories,
        "Remove folders and all that is in them",
        "directories",
        EXECD_ERRORS,
        Answer("They are not there"),
        parameters=(Parameter("path", "A folder; may be given several times."),),
        errors=(InvalidRequest, FileForbidden),
    ),
)
