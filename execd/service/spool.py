"""The file behind a journal: bytes appended once, read back anywhere."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from execd.errors import StorageFull


class Spool:
    """An append-only file that exists from its first write on. Reads work before and after `seal`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self.size = 0

    def append(self, data: bytes) -> int:
        """Write `data` at the end; returns its offset. Raises StorageFull, and then nothing was added."""
        offset = self.size
        try:
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _write_all(self._fd, data, offset)
        except OSError as error:
            raise StorageFull(error.strerror or str(error)) from error
        self.size = offset + len(data)
        return offset

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`. Raises OSError when the file is gone."""
        if self._fd is not None:
            return os.pread(self._fd, length, offset)
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def seal(self) -> None:
        """Give the file descriptor back; `read` opens the file again when it is asked. Safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def remove(self) -> None:
        """Remove the file; what it held can still be read until `seal`. Safe to call twice."""
        with contextlib.suppress(OSError):
            if self._fd is None:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        self._path.unlink(missing_ok=True)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view = view[written:]
        offset += written
