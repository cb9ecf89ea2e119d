"""A file opened for a download: what it is, which part is wanted, and its bytes.

Everything is read off one descriptor, so that a download is of one file, whatever becomes of its name. Byte ranges as
in RFC 9110, section 14; of several ranges the first is served.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import PurePath

from execd.errors import RangeUnsatisfiable
from execd.isolation.root import Root
from execd.service.paths import file_errors

READ_BYTES = 256 * 1024

_RANGE = re.compile(r"\s*bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})\s*(?:,.*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last`, both included; empty when `last` is `first - 1`."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def parse_range(header: str, size: int) -> ByteRange:
    """The first range of a Range header, cut to a file of `size` bytes. Raises RangeUnsatisfiable, also for what is
    no range at all."""
    found = _RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        raise RangeUnsatisfiable(header, size)
    if not found[1]:
        wanted = ByteRange(max(size - int(found[2]), 0), size - 1)
    else:
        wanted = ByteRange(int(found[1]), min(int(found[2]), size - 1) if found[2] else size - 1)
    malformed = bool(found[1] and found[2]) and int(found[2]) < int(found[1])
    if malformed or wanted.size < 1:
        raise RangeUnsatisfiable(header, size)
    return wanted


class OpenFile:
    """A regular file, open. `close` must be called. `etag` changes whenever the content may have."""

    def __init__(self, fd: int, path: PurePath) -> None:
        self._fd = fd
        self.path = path
        found = os.fstat(fd)
        self.size = found.st_size
        self.etag = f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'
        self.last_modified = formatdate(found.st_mtime, usegmt=True)

    @classmethod
    def open(cls, root: Root, path: PurePath) -> OpenFile:
        """Raises FileNotFound, NotAFile and the other file errors."""
        with file_errors(path):
            fd = root.open_regular(path)
            try:
                return cls(fd, path)
            except BaseException:
                os.close(fd)
                raise

    def read(self, offset: int, most: int) -> bytes:
        """Bytes from `offset` on, fewer than asked for at the end. May wait for the disk."""
        with file_errors(self.path):
            return os.pread(self._fd, most, offset)

    def read_cached(self, offset: int, most: int) -> memoryview | None:
        """The same bytes, but only what is in memory already; None when the disk would have to be asked."""
        block = bytearray(most)
        try:
            count = os.preadv(self._fd, [block], offset, os.RWF_NOWAIT)
        except OSError:
            # EAGAIN: not in memory. EOPNOTSUPP: this file system cannot tell.
            return None
        return memoryview(block)[:count] if count else None

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
