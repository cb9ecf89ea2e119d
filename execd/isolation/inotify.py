"""inotify(7): folders watched by their descriptors, for there is no path that could not lead elsewhere by now."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import termios
from dataclasses import dataclass
from enum import IntFlag

_READ_BYTES = 64 * 1024
_HEAD = struct.Struct("iIII")
_NUMBER = struct.Struct("i")
_LARGEST = _HEAD.size + 256


class Happened(IntFlag):
    """What inotify tells, with the kernel's numbers."""

    MODIFIED = 0x2
    ATTRIBUTES = 0x4
    WRITER_CLOSED = 0x8
    MOVED_AWAY = 0x40
    MOVED_HERE = 0x80
    CREATED = 0x100
    DELETED = 0x200
    SELF_DELETED = 0x400
    SELF_MOVED = 0x800
    OVERFLOW = 0x4000
    ENDED = 0x8000
    FOLDER = 0x40000000


_FOLDERS_ONLY = 0x01000000
_WANTED = Happened(0xFC6)  # all above up to SELF_MOVED, but for WRITER_CLOSED

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened in a watched folder to `name`, or to the folder itself where there is no name."""

    watch: int
    happened: Happened
    name: str


class Inotify:
    """One queue of notices, of any number of folders. `fd` is readable when there is something to read."""

    def __init__(self) -> None:
        """Raises OSError: EMFILE where the user may have no more of them, or the process no more descriptors."""
        self.fd = -1
        self.fd = _checked(_libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))

    def add(self, folder: int, wanted: Happened = _WANTED) -> int:
        """Watch the folder that a descriptor is open on, which may be closed then; the watch's number. Raises
        OSError: ENOSPC where the user may have no more of them."""
        mask = ctypes.c_uint32(wanted | _FOLDERS_ONLY)
        return _checked(_libc.inotify_add_watch(self.fd, b"/proc/self/fd/%d" % folder, mask))

    def remove(self, watch: int) -> None:
        """End a watch; nothing if it has ended."""
        _libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Notice]:
        """What has happened; nothing if nothing has. Raises OSError."""
        try:
            raw = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return []
        notices = []
        at = 0
        while at < len(raw):
            watch, happened, _, size = _HEAD.unpack_from(raw, at)
            at += _HEAD.size
            name = os.fsdecode(raw[at : at + size].rstrip(b"\0"))
            notices.append(Notice(watch, Happened(happened), name))
            at += size
        return notices

    def read_until_now(self) -> list[Notice]:
        """All that has happened so far, however much more happens meanwhile. Raises OSError."""
        notices: list[Notice] = []
        [waiting] = _NUMBER.unpack(fcntl.ioctl(self.fd, termios.FIONREAD, bytes(_NUMBER.size)))
        # A read leaves no more room than the next notice would have taken.
        for _ in range(waiting // (_READ_BYTES - _LARGEST) + 1):
            notices += self.read()
        return notices

    def close(self) -> None:
        """End every watch. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    __del__ = close


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
