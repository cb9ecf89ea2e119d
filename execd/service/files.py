"""Files of the sandbox: known, deleted, moved, given another mode or owner. And the threads in which all work on files
is done, for a disk may be slow and the loop has others to serve.

Here the sandbox is the machine as it is: an absolute path is the machine's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from execd.errors import DestinationExists, NotAFile
from execd.identifiers import new_id
from execd.service.fileinfo import FileInfo
from execd.service.identity import Identity
from execd.service.landing import TEMPORARY_PREFIX
from execd.service.ownership import Names, Permission, make_folders
from execd.service.paths import Paths, file_errors, kind_of, open_regular, shown

_MOST_THREADS = 16

Result = TypeVar("Result")


class Files:
    """Where work on files is done: `paths` finds them, `run` works on them."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._threads = anyio.CapacityLimiter(_MOST_THREADS)

    async def run(self, work: Callable[[], Result], identity: Identity | None = None) -> Result:
        """Do blocking work in a thread, as another user if one is given. Raises IdentityRefused, and what it raises.

        Work that has begun is always done to its end: a cancelled caller waits for it.
        """
        return await anyio.to_thread.run_sync(partial(_act, work, identity), limiter=self._threads)


def _act(work: Callable[[], Result], identity: Identity | None) -> Result:
    if identity is None:
        return work()
    with identity.assumed():
        return work()


def info_of(path: Path) -> FileInfo:
    """What is at a path, a symlink itself. Raises FileNotFound and the other file errors."""
    with file_errors(path):
        return FileInfo.read(path, Names())


def delete(path: Path) -> None:
    """Delete a file or a symlink; nothing if there is none. Raises NotAFile for a folder."""
    with file_errors(path):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise NotAFile(shown(path), kind_of(mode))
        path.unlink(missing_ok=True)


def set_permission(path: Path, permission: Permission) -> None:
    """Give a file or folder another mode, owner or group. Raises FileNotFound, InvalidRequest, FileForbidden."""
    with file_errors(path):
        path.stat()
        permission.apply(path)


def move(source: Path, destination: Path) -> None:
    """Move a file or a folder with all that is in it; makes the folders above the destination. From one disk to
    another it is copied first. Raises FileNotFound, DestinationExists and the other file errors."""
    with file_errors(source):
        source.lstat()
    with file_errors(destination):
        if os.path.lexists(destination):
            raise DestinationExists(shown(destination))
        make_folders(destination.parent, Permission())
    with file_errors(source):
        try:
            source.rename(destination)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            move_across(source, destination)


def move_across(source: Path, destination: Path) -> None:
    """Move from one file system to another: the destination appears whole, then the source goes. Raises OSError, and
    NotAFile for a FIFO, socket or device, which cannot be copied by reading it."""
    arriving = destination.parent / f"{TEMPORARY_PREFIX}{new_id('')[1:]}"
    try:
        _copy_tree(source, arriving)
        arriving.rename(destination)
    except BaseException:
        _remove(arriving)
        raise
    _remove(source)


def _copy_tree(source: Path, destination: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, destination, symlinks=True, copy_function=_copy_one)
        for folder, folders, files in os.walk(destination):
            # Files have theirs by now; copytree makes folders and symlinks itself.
            made = [path for name in folders + files if (path := Path(folder, name)).is_symlink()]
            for path in [Path(folder), *made]:
                _copy_owner(source / path.relative_to(destination), path)
    else:
        _copy_one(source, destination)


def _copy_one(source: str | Path, destination: str | Path) -> None:
    origin, copied = Path(source), Path(destination)
    if not origin.is_symlink():
        # Raises NotAFile before anything is read.
        os.close(open_regular(origin))
    shutil.copy2(origin, copied, follow_symlinks=False)
    _copy_owner(origin, copied)


def _copy_owner(source: Path, destination: Path) -> None:
    found = source.lstat()
    # Who cannot give files away becomes their owner, as with mv(1).
    with contextlib.suppress(PermissionError):
        os.chown(destination, found.st_uid, found.st_gid, follow_symlinks=False)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
