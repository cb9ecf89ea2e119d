"""What code, contexts and runs asked for in Nullspace's words mean here."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath

from starlette.requests import Request

from execd.errors import InvalidRequest
from execd.kernel.request import ExecuteRequest
from execd.service.execution import Asked
from execd.wire.nullspace.code_schemas import ExecuteBody, NewRun
from execd.wire.state import webhooks_of

DIALECT = "nullspace"

_ALIASES = {"python3": "python"}
_RESERVED = ".nullspace"
_WORKSPACE = "/workspace"


def language_of(given: str) -> str:
    """The language that is meant."""
    return _ALIASES.get(given, given)


def folder_of(given: str, workspace: str) -> str:
    """A context's folder, normalised. Raises InvalidRequest where none may be."""
    if not given.startswith("/"):
        raise InvalidRequest(f"expected an absolute path, got {given[:80]!r}", "cwd")
    folder = posixpath.normpath("/" + given.lstrip("/"))
    for reserved in (f"{_WORKSPACE}/{_RESERVED}", f"{workspace}/{_RESERVED}"):
        if PurePosixPath(folder).is_relative_to(reserved):
            raise InvalidRequest(f"expected another folder, {reserved} is reserved", "cwd")
    return folder


def wanted(body: ExecuteBody | NewRun) -> ExecuteRequest:
    """The run that is asked for."""
    return ExecuteRequest(body.code, None if body.timeout is None else float(body.timeout), envs=body.envs)


def asked_by(request: Request, body: ExecuteBody | NewRun) -> Asked:
    """By which API, with which key, and where its end is to be told. Raises InvalidRequest."""
    url = webhooks_of(request).usable(body.webhook_url)
    return Asked(DIALECT, key=request.headers.get("idempotency-key") or None, webhook_url=url)
