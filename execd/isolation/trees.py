"""Folders with all that is below them, walked through without following a symlink and with few descriptors, however
deep they are and whatever is moved about in them meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from execd.isolation.entry import FOLDER, Entry, Mounted, by_descriptor, identity
from execd.isolation.openat2 import open_beneath


class Tree:
    """A folder and those below it, for reading, by their paths relative to it; "" is the folder itself. It takes the
    folder's descriptor over, and holds one more. Raises OSError."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._at = ""
        self._fd = -1

    def folder(self, relative: str) -> int:
        """A descriptor of a folder, good until the next call."""
        if not relative:
            return self._base
        if relative != self._at:
            fd = open_beneath(self._base, relative, FOLDER)
            self._leave()
            self._at, self._fd = relative, fd
        return self._fd

    def entries(self, relative: str) -> list[tuple[str, bool]]:
        """What is in a folder, by name, and whether each is a folder."""
        with os.scandir(self.folder(relative)) as found:
            return sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)

    def close(self) -> None:
        """Give the descriptors back. Safe to call twice."""
        self._leave()
        if self._base >= 0:
            os.close(self._base)
            self._base = -1

    def _leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._at, self._fd = "", -1

    # Whoever walks may be given up at any time.
    __del__ = close


def joined(relative: str, name: str) -> str:
    """The path of a name in a folder of a tree."""
    return f"{relative}/{name}" if relative else name


@dataclass(slots=True)
class _Level:
    """A folder on the way down: which one it is, which folders in it are still to be removed, and whether something
    that is mounted in it stays, so that it has to stay too."""

    identity: tuple[int, int]
    folders: list[str]
    stays: bool = False


def remove_entry(entry: Entry) -> None:
    """Remove whatever is there, a folder with all that is in it. What is not there, or others have removed meanwhile,
    is no failure. What is mounted in it stays as it is, and is told. Raises OSError."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(entry.lstat().st_mode):
            entry.check_unmounted()
            _clear(os.open(entry.name, FOLDER, dir_fd=entry.folder))
            entry.rmdir()
        else:
            entry.unlink()


def wipe(path: Path) -> None:
    """Remove a folder that is done with, and all that is in it, however deep it is and whatever its owner, who has
    gone, has forbidden; nothing where there is none. What cannot be removed stays, and what is mounted in it."""
    with suppress(OSError):
        place = os.open(path.parent, os.O_PATH | FOLDER)
        try:
            _clear(_opened(place, path.name, insist=True), insist=True)
            os.rmdir(path.name, dir_fd=place)
        finally:
            os.close(place)


def clear(found: int) -> None:
    """Remove all that is in a folder whose owner is done with it, whatever has been forbidden there; the folder itself,
    which `found` is an O_PATH descriptor of, stays, and so does what is mounted in it. Raises OSError."""
    _clear(_insisting(found), insist=True)


def _opened(folder: int, name: str, *, insist: bool) -> int:
    if not insist:
        return os.open(name, FOLDER, dir_fd=folder)
    found = os.open(name, os.O_PATH | FOLDER, dir_fd=folder)
    try:
        return _insisting(found)
    finally:
        os.close(found)


def _insisting(found: int) -> int:
    mode = stat.S_IMODE(os.fstat(found).st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        with suppress(PermissionError):
            os.chmod(by_descriptor(found), mode | stat.S_IRWXU)
    return os.open(by_descriptor(found), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _clear(here: int, *, insist: bool = False) -> None:
    try:
        levels = [_cleared(here, insist=insist)]
        while True:
            if levels[-1].folders:
                here = _into(here, levels, insist=insist)
                continue
            done = levels.pop()
            if not levels:
                break
            here = _out(here, levels[-1], stays=done.stays)
    finally:
        os.close(here)


def _cleared(here: int, *, insist: bool) -> _Level:
    level = _Level(identity(here), [])
    with os.scandir(here) as found:
        entries = list(found)
    for entry in entries:
        with suppress(FileNotFoundError), _leaving_mounted(level, insist=insist):
            if entry.is_dir(follow_symlinks=False):
                level.folders.append(entry.name)
            else:
                _in(here, entry.name).unlink()
    return level


@contextmanager
def _leaving_mounted(level: _Level, *, insist: bool) -> Iterator[None]:
    try:
        yield
    except Mounted:
        if not insist:
            raise
        level.stays = True


def _in(folder: int, name: str) -> Entry:
    return Entry(folder, name, PurePath(name))


def _into(here: int, levels: list[_Level], *, insist: bool) -> int:
    level, deeper = levels[-1], -1
    with suppress(FileNotFoundError), _leaving_mounted(level, insist=insist):
        _in(here, level.folders[-1]).check_unmounted()
        deeper = _opened(here, level.folders[-1], insist=insist)
    if deeper < 0:
        level.folders.pop()
        return here
    try:
        levels.append(_cleared(deeper, insist=insist))
    except BaseException:
        os.close(deeper)
        raise
    os.close(here)
    return deeper


def _out(here: int, level: _Level, *, stays: bool) -> int:
    above = os.open("..", FOLDER, dir_fd=here)
    if identity(above) != level.identity:
        # `..` is somewhere else now, perhaps above the tree.
        os.close(above)
        raise OSError(errno.ESTALE, "a folder in it was moved while it was removed")
    os.close(here)
    name = level.folders.pop()
    level.stays = level.stays or stays
    if not stays:
        with suppress(FileNotFoundError):
            _in(above, name).rmdir()
    return above
