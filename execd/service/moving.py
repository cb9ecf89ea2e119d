"""Moves from one file system to another: copies of files and folders with what belongs to them (content, times, mode,
attributes and, where that is allowed, owner), and then the end of the originals.

Nothing is opened that is no regular file or folder, and no symlink is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from execd.identifiers import new_id
from execd.isolation.entry import FOLDER, Entry
from execd.isolation.trees import Tree, joined, remove_entry
from execd.service.landing import TEMPORARY_PREFIX, write_all

_BLOCK_BYTES = 1024 * 1024

# What setting an attribute fails with where the other disk, or the user who copies, cannot have it.
_NO_ATTRIBUTE = frozenset({errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENODATA, errno.EINVAL})


def move_across(origin: Entry, place: Entry) -> None:
    """Move from one file system to another: the destination appears whole, then the source goes. Raises OSError, and
    NotAFile for a FIFO, socket or device, which cannot be copied by reading it."""
    arriving = place.beside(f"{TEMPORARY_PREFIX}{new_id('')[1:]}")
    try:
        copy_entry(origin, arriving)
        arriving.rename(place)
    except BaseException:
        remove_entry(arriving)
        raise
    remove_entry(origin)


def copy_entry(source: Entry, copied: Entry) -> None:
    """Copy what is at the source, a folder with all that is in it, to a name that is free. Raises OSError, and
    NotAFile for a FIFO, socket or device, which cannot be copied by reading it."""
    if not stat.S_ISDIR(source.lstat().st_mode):
        _copy_one(source, copied)
        return
    origin = Tree(os.open(source.name, FOLDER, dir_fd=source.folder))
    try:
        os.close(copied.make_folder(0o700))
        copy = Tree(os.open(copied.name, FOLDER, dir_fd=copied.folder))
        try:
            _copy_tree(origin, copy, source)
        finally:
            copy.close()
    finally:
        origin.close()


def _copy_tree(origin: Tree, copy: Tree, source: Entry) -> None:
    folders = [""]
    for relative in folders:
        for name, is_folder in origin.entries(relative):
            below = joined(relative, name)
            copied = Entry(copy.folder(relative), name, source.path / below)
            if is_folder:
                os.close(copied.make_folder(0o700))
                folders.append(below)
            else:
                _copy_one(Entry(origin.folder(relative), name, source.path / below), copied)
    # The innermost first: what a folder forbids must not hinder, and its time must not change any more.
    for relative in reversed(folders):
        _copy_properties(origin.folder(relative), copy.folder(relative))


def _copy_one(source: Entry, copied: Entry) -> None:
    link = source.link()
    if link is not None:
        _copy_link(source, link, copied)
        return
    origin = source.open_regular(os.O_RDONLY)
    try:
        copy = copied.create(0o600)
        try:
            while block := os.read(origin, _BLOCK_BYTES):
                write_all(copy, block)
            _copy_properties(origin, copy)
        finally:
            os.close(copy)
    finally:
        os.close(origin)


def _copy_link(source: Entry, link: str, copied: Entry) -> None:
    found = source.lstat()
    os.symlink(link, copied.name, dir_fd=copied.folder)
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(copied.name, ns=times, dir_fd=copied.folder, follow_symlinks=False)
    with contextlib.suppress(PermissionError):
        os.chown(copied.name, found.st_uid, found.st_gid, dir_fd=copied.folder, follow_symlinks=False)


def _copy_properties(origin: int, copy: int) -> None:
    found = os.fstat(origin)
    mode = stat.S_IMODE(found.st_mode)
    try:
        os.fchown(copy, found.st_uid, found.st_gid)
    except PermissionError:
        # Who cannot give files away becomes their owner, as with mv(1), and nobody runs them as that user by this.
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    _copy_attributes(origin, copy)
    os.fchmod(copy, mode)
    os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy_attributes(origin: int, copy: int) -> None:
    try:
        names = os.listxattr(origin)
    except OSError:
        return
    for name in names:
        try:
            os.setxattr(copy, name, os.getxattr(origin, name))
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTE:
                raise
