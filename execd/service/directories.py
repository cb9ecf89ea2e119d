"""Folders: listed, searched, made, removed. Symlinks within them are shown, never followed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePath

from execd.errors import FileForbidden
from execd.isolation.entry import reopen_folder
from execd.isolation.root import Root
from execd.isolation.shown import shown
from execd.isolation.trees import Tree, joined, remove_entry
from execd.service.fileinfo import FileInfo
from execd.service.globs import Glob
from execd.service.ownership import Names, Permission, make_folders
from execd.service.paths import file_errors


def listed(root: Root, folder: PurePath, depth: int) -> Iterator[FileInfo]:
    """What is in a folder, down to `depth` levels below it: by name, each folder before what is in it.

    Raises, before the first is asked for, FileNotFound, and NotADirectory for a file or a symlink. What cannot be
    read further down, or vanishes meanwhile, is left out.
    """
    with file_errors(folder), root.itself(folder) as fd:
        return _opened(root, folder, fd).walk(depth)


def searched(root: Root, folder: PurePath, glob: Glob) -> Iterator[FileInfo]:
    """The files below a folder, at any depth, whose base name fits; folders themselves are not files.

    Raises, before the first is asked for, FileNotFound and NotADirectory. What cannot be read is left out.
    """
    with file_errors(folder), root.target(folder) as fd:
        found = _opened(root, folder, fd).walk(-1, glob)
    return (info for info in found if info.type != "directory")


def make(root: Root, folder: PurePath, permission: Permission) -> None:
    """Make a folder and those above it. One that is there stays as it is. Raises NotADirectory where something else
    is in the way, InvalidRequest for an unknown owner, and the other file errors."""
    with file_errors(folder):
        if root.is_folder(folder):
            return
        permission.check(root.accounts)
        if folder in make_folders(root, folder, permission):
            with root.itself(folder) as fd:
                permission.apply(fd, root.accounts)


def remove(root: Root, folder: PurePath) -> None:
    """Remove whatever is at the path, with all that is in it; nothing if there is nothing. Raises FileForbidden."""
    with file_errors(folder), suppress(FileNotFoundError), root.entry(folder) as entry:
        if os.path.samestat(entry.lstat(), os.fstat(root.fd)):
            raise FileForbidden(shown(folder), "it is the root of everything")
        remove_entry(entry)


def _opened(root: Root, folder: PurePath, found: int) -> _Walk:
    return _Walk(folder, Tree(reopen_folder(found, folder)), Names(root.accounts))


class _Walk:
    """A way through a folder. What is in it is read at once, what is below it when its turn comes."""

    def __init__(self, folder: PurePath, tree: Tree, names: Names) -> None:
        self._prefix = str(folder).rstrip("/")
        self._tree = tree
        self._names = names
        self._first = tree.entries("")

    def walk(self, depth: int, glob: Glob | None = None) -> Iterator[FileInfo]:
        """What there is, down to a depth (-1: all) and with a fitting name."""
        if depth == 0:
            return
        levels = [("", iter(self._first))]
        while levels:
            above, entries = levels[-1]
            name, is_folder = next(entries, ("", False))
            if not name:
                levels.pop()
                continue
            relative = joined(above, name)
            if (glob is None or glob.matches(name)) and (info := self._info(above, relative, name)):
                yield info
            if is_folder and len(levels) != depth:
                levels.append((relative, iter(self._entries(relative))))

    def _info(self, above: str, relative: str, name: str) -> FileInfo | None:
        try:
            found = os.stat(name, dir_fd=self._tree.folder(above), follow_symlinks=False)
        except OSError:
            return None
        return FileInfo.of(f"{self._prefix}/{relative}", found, self._names)

    def _entries(self, relative: str) -> list[tuple[str, bool]]:
        try:
            return self._tree.entries(relative)
        except OSError:
            return []
