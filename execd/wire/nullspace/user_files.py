"""A request's hand on the files of its sandbox, as the user that it names, and how files are shown."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import HTTPConnection

from execd.errors import InvalidRequest
from execd.service.fileinfo import FileInfo
from execd.service.files import info_of
from execd.service.identity import Identity
from execd.wire.state import sandbox_of

_TYPES = {"directory": "dir"}

Result = TypeVar("Result")


class UserFiles:
    """The files, as `user`, or else as the service itself. Raises InvalidRequest for a user whom nobody knows."""

    def __init__(self, connection: HTTPConnection, user: str | None = None) -> None:
        self.files = sandbox_of(connection).files
        self._user = _account(user.strip()) if user and user.strip() else None

    def path(self, given: str, field: str = "path") -> Path:
        """The absolute path that is meant: a relative one begins in the sandbox's folder, or in the home of a user
        who is named. Raises InvalidRequest."""
        if self._user is None:
            return self.files.paths.resolve(given, None, field)
        home = self._user.pw_dir
        absolute = given.startswith(("/", "~", "$")) or not given
        return self.files.paths.resolve(given if absolute else f"{home}/{given}", home, field)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work on files. Raises IdentityRefused, and what it raises."""
        identity = None if self._user is None else Identity(self._user.pw_uid, self._user.pw_gid)
        return await self.files.run(work, identity)

    async def info(self, path: Path) -> dict[str, Any]:
        """What is at a path, as this dialect shows it. Raises FileNotFound and the other file errors."""
        return await self.run(partial(_described, path))


def shown(info: FileInfo) -> dict[str, Any]:
    """A file with exactly the fields that clients of this API take."""
    kind = _TYPES.get(info.type, info.type)
    digits = f"{info.mode:04d}"
    described = {
        "name": info.path.rstrip("/").rpartition("/")[2] or "/",
        "path": info.path,
        "is_dir": kind == "dir",
        "size": info.size,
        "type": kind,
        "mode": digits,
        "permissions": digits,
        "owner": info.owner,
        "group": info.group,
        "modified_time": info.modified_at.isoformat().replace("+00:00", "Z"),
    }
    return described | ({"symlink_target": _target(info.path)} if kind == "symlink" else {})


def _described(path: Path) -> dict[str, Any]:
    return shown(info_of(path))


def _target(path: str) -> str:
    try:
        return os.fsencode(Path(path).readlink()).decode("utf-8", "replace")
    except OSError:
        return ""


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except (KeyError, ValueError):
        raise InvalidRequest(f"there is no user {name[:80]!r}", "user") from None
