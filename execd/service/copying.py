"""Copying a workspace: by reflink, where the file system can share blocks, or else byte by byte.

What is copied was made by programs that may still run. So nothing is looked up by a path twice: each folder is entered
through the descriptor of the one above, symlinks are copied as such and never followed, and what is neither a file, a
folder nor a symlink stays behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from pathlib import Path

_FICLONE = 0x40049409  # ioctl_ficlone(2)
_BLOCK = 1024 * 1024
_NO_REFLINK = frozenset({errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM})

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Acting = Callable[[], AbstractContextManager[None]]


class Copied(StrEnum):
    """How a copy was made."""

    REFLINK = "reflink"
    COPY = "copy"


def copy_tree(
    source: Path, target: Path, owner: tuple[int, int] | None = None, acting: Acting = contextlib.nullcontext
) -> Copied:
    """Copy what is in one folder into another, which exists and is empty; everything becomes the owner's, if one is
    given. What is new is made while `acting`: in memory that was mounted behind walls only its owner can make anything.
    Blocks. Raises OSError."""
    from_fd, to_fd = os.open(source, _FOLDER), -1
    try:
        to_fd = os.open(target, _FOLDER)
        return _Copying(owner, acting).folder(from_fd, to_fd)
    except RecursionError:
        raise OSError(errno.ENAMETOOLONG, "folders in it are too deep to be copied") from None
    finally:
        os.close(from_fd)
        if to_fd >= 0:
            os.close(to_fd)


class _Copying:
    """One copy on its way. Reflinks are tried until the file system has said no."""

    def __init__(self, owner: tuple[int, int] | None, acting: Acting) -> None:
        self._owner = owner
        self._acting = acting
        self._reflink = True

    def folder(self, source: int, target: int) -> Copied:
        for name in os.listdir(source):
            # What vanishes meanwhile is as if it had vanished before.
            with contextlib.suppress(FileNotFoundError):
                self._entry(source, target, name)
        return Copied.REFLINK if self._reflink else Copied.COPY

    def _entry(self, source: int, target: int, name: str) -> None:
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            self._subfolder(source, target, name)
        elif stat.S_ISLNK(mode):
            leads = os.readlink(name, dir_fd=source)
            with self._acting():
                os.symlink(leads, name, dir_fd=target)
            self._give(name, target)
        elif stat.S_ISREG(mode):
            self._file(source, target, name)

    def _subfolder(self, source: int, target: int, name: str) -> None:
        from_fd = os.open(name, _FOLDER, dir_fd=source)
        try:
            with self._acting():
                os.mkdir(name, 0o700, dir_fd=target)
            to_fd = os.open(name, _FOLDER, dir_fd=target)
            try:
                self.folder(from_fd, to_fd)
                self._dress(from_fd, to_fd)
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)

    def _file(self, source: int, target: int, name: str) -> None:
        from_fd = os.open(name, _FILE, dir_fd=source)
        try:
            if not stat.S_ISREG(os.fstat(from_fd).st_mode):
                return
            with self._acting():
                to_fd = os.open(name, _NEW, 0o600, dir_fd=target)
            try:
                self._content(from_fd, to_fd)
                self._dress(from_fd, to_fd)
            finally:
                os.close(to_fd)
        finally:
            os.close(from_fd)

    def _content(self, source: int, target: int) -> None:
        if self._reflink:
            try:
                fcntl.ioctl(target, _FICLONE, source)
                return
            except OSError as error:
                if error.errno not in _NO_REFLINK:
                    raise
                self._reflink = False
        # No more than there is now, and of a file with holes only what is none.
        size = os.fstat(source).st_size
        os.ftruncate(target, size)
        for begin, end in _extents(source, size):
            _copy_range(source, target, begin, end)

    def _dress(self, source: int, target: int) -> None:
        found = os.fstat(source)
        if self._owner is not None:
            os.chown(target, *self._owner)
        # A set-user-id bit is not handed on to another owner.
        os.fchmod(target, stat.S_IMODE(found.st_mode) & 0o1777)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _give(self, name: str, folder: int) -> None:
        if self._owner is not None:
            os.chown(name, *self._owner, dir_fd=folder, follow_symlinks=False)


def _extents(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where in a file there is data, up to its size."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = min(os.lseek(file, begin, os.SEEK_HOLE), size)
        yield begin, end


def _copy_range(source: int, target: int, begin: int, end: int) -> None:
    while begin < end and (block := os.pread(source, min(_BLOCK, end - begin), begin)):
        begin += os.pwrite(target, block, begin)
