"""Folders: listed, searched, made, removed. Symlinks within them are shown, never followed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from execd.errors import FileForbidden, NotADirectory
from execd.service.fileinfo import FileInfo
from execd.service.globs import Glob
from execd.service.ownership import Names, Permission, make_folders
from execd.service.paths import check_folder, file_errors, kind_of, shown


def listed(folder: Path, depth: int) -> Iterator[FileInfo]:
    """What is in a folder, down to `depth` levels below it: by name, each folder before what is in it.

    Raises, before the first is asked for, FileNotFound, and NotADirectory for a file or a symlink. What cannot be
    read further down, or vanishes meanwhile, is left out.
    """
    with file_errors(folder):
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise NotADirectory(shown(folder), kind_of(mode))
        entries = _entries(folder)
    return _walk(entries, depth, Names())


def searched(folder: Path, glob: Glob) -> Iterator[FileInfo]:
    """The files below a folder, at any depth, whose base name fits; folders themselves are not files.

    Raises, before the first is asked for, FileNotFound and NotADirectory. What cannot be read is left out.
    """
    with file_errors(folder):
        check_folder(folder)
        entries = _entries(folder)
    found = _walk(entries, -1, Names(), glob)
    return (info for info in found if info.type != "directory")


def make(folder: Path, permission: Permission) -> None:
    """Make a folder and those above it. One that is there stays as it is. Raises NotADirectory where something else
    is in the way, InvalidRequest for an unknown owner, and the other file errors."""
    with file_errors(folder):
        if folder.is_dir():
            return
        permission.check()
        if folder in make_folders(folder, permission):
            permission.apply(folder)


def remove(folder: Path) -> None:
    """Remove whatever is at the path, with all that is in it; nothing if there is nothing. Raises FileForbidden."""
    with file_errors(folder):
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            folder.unlink(missing_ok=True)
            return
        if folder.resolve() == Path("/"):
            raise FileForbidden(shown(folder), "it is the root of everything")
        shutil.rmtree(folder)


def _walk(entries: list[os.DirEntry[str]], depth: int, names: Names, glob: Glob | None = None) -> Iterator[FileInfo]:
    if depth == 0:
        return
    levels = [iter(entries)]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        if glob is None or glob.matches(entry.name):
            try:
                yield FileInfo.of(entry.path, entry.stat(follow_symlinks=False), names)
            except OSError:
                continue
        if len(levels) != depth and entry.is_dir(follow_symlinks=False):
            levels.append(iter(_entries_if_readable(entry.path)))


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _entries_if_readable(folder: str) -> list[os.DirEntry[str]]:
    try:
        return _entries(folder)
    except OSError:
        return []
