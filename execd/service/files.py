"""Files of the sandbox: known, deleted, moved, given another mode or owner. And the threads in which all work on files
is done, for a disk may be slow and the loop has others to serve.

A path is the sandbox's, and is looked up in its `Root`: what lies there may be made to lead anywhere, and leads nowhere
but into the sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePath
from typing import TypeVar

import anyio
import anyio.to_thread

from execd.errors import DestinationExists, NotAFile
from execd.isolation.entry import Entry
from execd.isolation.identity import Identity
from execd.isolation.root import Root
from execd.isolation.shown import kind_of, shown
from execd.service.fileinfo import FileInfo
from execd.service.moving import move_across
from execd.service.ownership import Names, Permission, make_folders
from execd.service.paths import Paths, file_errors

_MOST_THREADS = 16

Result = TypeVar("Result")


class Files:
    """Where work on files is done: in `root`, where `paths` finds them, by `run`."""

    def __init__(self, root: Root, paths: Paths) -> None:
        self.root = root
        self.paths = paths
        self._threads = anyio.CapacityLimiter(_MOST_THREADS)

    async def run(self, work: Callable[[], Result], identity: Identity | None = None) -> Result:
        """Do blocking work in a thread, as the sandbox's user, or as another if one is given. Raises IdentityRefused,
        and what it raises.

        Work that has begun is always done to its end: a cancelled caller waits for it.
        """
        acting = identity.assumed if identity else self.root.acting
        return await anyio.to_thread.run_sync(partial(_act, work, acting), limiter=self._threads)


def _act(work: Callable[[], Result], acting: Callable[[], AbstractContextManager[None]]) -> Result:
    with acting():
        return work()


def info_of(root: Root, path: PurePath) -> FileInfo:
    """What is at a path, a symlink itself. Raises FileNotFound and the other file errors."""
    with file_errors(path), root.itself(path) as fd:
        return FileInfo.of(path, os.fstat(fd), Names(root.accounts))


def delete(root: Root, path: PurePath) -> None:
    """Delete a file or a symlink; nothing if there is none. Raises NotAFile for a folder."""
    with file_errors(path), contextlib.suppress(FileNotFoundError), root.entry(path) as entry:
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise NotAFile(shown(path), kind_of(mode))
        entry.unlink()


def set_permission(root: Root, path: PurePath, permission: Permission) -> None:
    """Give a file or folder another mode, owner or group. Raises FileNotFound, InvalidRequest, FileForbidden."""
    with file_errors(path), root.target(path) as fd:
        permission.apply(fd, root.accounts)


def move(root: Root, source: PurePath, destination: PurePath) -> None:
    """Move a file or a folder with all that is in it; makes the folders above the destination. From one disk to
    another it is copied first. Raises FileNotFound, DestinationExists and the other file errors."""
    with file_errors(source), root.entry(source) as origin:
        origin.lstat()
        _make_room(root, destination)
        with root.entry(destination) as place:
            _move_entry(origin, place)


def _make_room(root: Root, destination: PurePath) -> None:
    with file_errors(destination):
        if root.is_there(destination):
            raise DestinationExists(shown(destination))
        make_folders(root, destination.parent, Permission())


def _move_entry(origin: Entry, place: Entry) -> None:
    try:
        origin.rename(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        move_across(origin, place)
