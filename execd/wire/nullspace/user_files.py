"""A request's hand on the files of its sandbox, as the user that it names, and how files are shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

from starlette.requests import HTTPConnection

from execd.errors import InvalidRequest
from execd.isolation.identity import Identity
from execd.isolation.root import Root
from execd.service.fileinfo import FileInfo
from execd.service.files import info_of
from execd.wire.state import sandbox_of

_TYPES = {"directory": "dir"}

Result = TypeVar("Result")


class UserFiles:
    """The files, as `user`, or else as the service itself. Raises InvalidRequest for a user whom nobody knows."""

    def __init__(self, connection: HTTPConnection, user: str | None = None) -> None:
        self.files = sandbox_of(connection).files
        self.root = self.files.root
        self._name = user.strip() if user else ""
        self._user = _identity(self.root, self._name) if self._name else None

    def path(self, given: str, field: str = "path") -> PurePath:
        """The absolute path that is meant: a relative one begins in the sandbox's folder, or in the home of a user
        who is named. Raises InvalidRequest."""
        if self._user is None:
            return self.files.paths.resolve(given, None, field)
        home = self.root.accounts.home(self._name) or "/"
        absolute = given.startswith(("/", "~", "$")) or not given
        return self.files.paths.resolve(given if absolute else f"{home}/{given}", home, field)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do blocking work on files. Raises IdentityRefused, and what it raises."""
        return await self.files.run(work, self._user)

    async def info(self, path: PurePath) -> dict[str, Any]:
        """What is at a path, as this dialect shows it. Raises FileNotFound and the other file errors."""
        return await self.run(partial(_described, self.root, path))


def shown(root: Root, info: FileInfo) -> dict[str, Any]:
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
    return described | ({"symlink_target": _target(root, info.path)} if kind == "symlink" else {})


def _described(root: Root, path: PurePath) -> dict[str, Any]:
    return shown(root, info_of(root, path))


def _target(root: Root, path: str) -> str:
    try:
        with root.itself(PurePath(path)) as fd:
            return os.fsencode(os.readlink("", dir_fd=fd)).decode("utf-8", "replace")
    except OSError:
        return ""


def _identity(root: Root, name: str) -> Identity:
    found = root.accounts.identity(name)
    if found is None:
        raise InvalidRequest(f"there is no user {name[:80]!r}", "user")
    return Identity(*found, root.accounts)
