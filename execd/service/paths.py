"""Paths as callers write them, and what the machine says when they cannot be used."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePath

from execd.errors import (
    ExecdError,
    FileDoesNotFit,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    NotAFile,
    PathUnusable,
)
from execd.isolation.accounts import MACHINE, Accounts
from execd.isolation.shown import shown

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")

_UNUSABLE = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ETXTBSY})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Paths:
    """Turns what a caller writes into absolute paths of the sandbox: variables, `~`, and relative paths below the
    workspace.

    The variables are the sandbox's, never the service's own. One that is not set stays as it is written, for `$` is
    an ordinary character of file names.
    """

    def __init__(
        self, workspace: PurePath, variables: Callable[[], Mapping[str, str]], accounts: Accounts = MACHINE
    ) -> None:
        self.workspace = PurePath(workspace)
        self._variables = variables
        self._accounts = accounts

    def resolve(self, given: str, home: str | None = None, field: str = "path") -> PurePath:
        """The absolute path. `home` is what `~` stands for, None: the sandbox's HOME. Raises InvalidRequest."""
        if not given:
            raise InvalidRequest("expected a path, got nothing", field)
        if "\0" in given:
            raise InvalidRequest("expected a path without NUL bytes", field)
        expanded = _VARIABLE.sub(self._value, given)
        return self.workspace / self._with_home(expanded, home)

    def _value(self, found: re.Match[str]) -> str:
        return self._variables().get(found[1] or found[2], found[0])

    def _with_home(self, path: str, home: str | None) -> str:
        if not path.startswith("~"):
            return path
        user, slash, rest = path[1:].partition("/")
        folder = self._accounts.home(user) if user else home or self._variables().get("HOME")
        return path if folder is None else folder + slash + rest


@contextmanager
def file_errors(path: PurePath | str) -> Iterator[None]:
    """Turn the OSErrors of the block into errors of execd's tree that name this path."""
    try:
        yield
    except OSError as error:
        raise translated(error, shown(path)) from error


def translated(error: OSError, path: str) -> ExecdError:
    """What an OSError means to the caller."""
    why = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return FileNotFound(path)
    if error.errno == errno.EISDIR:
        return NotAFile(path, "directory")
    if error.errno in _UNUSABLE:
        return PathUnusable(path, why)
    if error.errno in _FORBIDDEN:
        return FileForbidden(path, why)
    return FileDoesNotFit(path, why) if error.errno in _FULL else FileFailed(f"{path!r}: {why}")
