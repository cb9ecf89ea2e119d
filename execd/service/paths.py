"""Paths as callers write them, what they lead to, and what the machine says when they cannot be used."""

from __future__ import annotations

import errno
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from execd.errors import (
    ExecdError,
    FileDoesNotFit,
    FileFailed,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    NotADirectory,
    NotAFile,
    PathUnusable,
)

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")

_UNUSABLE = frozenset({errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ETXTBSY})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_KINDS = {
    stat.S_IFREG: "regular file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Paths:
    """Turns what a caller writes into absolute paths: variables, `~`, and relative paths below the workspace.

    The variables are the sandbox's, never the service's own. One that is not set stays as it is written, for `$` is
    an ordinary character of file names.
    """

    def __init__(self, workspace: Path, variables: Callable[[], Mapping[str, str]]) -> None:
        self.workspace = workspace
        self._variables = variables

    def resolve(self, given: str, home: str | None = None, field: str = "path") -> Path:
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
        folder = _home_of(user) if user else home or self._variables().get("HOME")
        return path if folder is None else folder + slash + rest


def _home_of(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None


def shown(path: Path | str) -> str:
    """The path as text that can leave in JSON: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def kind_of(mode: int) -> str:
    """What a `st_mode` is, for a person."""
    return _KINDS.get(stat.S_IFMT(mode), "special file")


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file. Raises NotAFile for anything else, without having opened it: neither
    a FIFO's writer nor a device notices. Symlinks are followed. Raises OSError."""
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode):
            raise NotAFile(shown(path), kind_of(mode))
        return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)


def check_folder(path: Path) -> None:
    """Raise NotADirectory unless the path leads to a folder. Raises OSError."""
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        raise NotADirectory(shown(path), kind_of(mode))


@contextmanager
def file_errors(path: Path | str) -> Iterator[None]:
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
