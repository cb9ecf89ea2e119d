"""Content by its SHA-256: whatever is put here twice lies here once.

    <folder>/ab/abcdef…     the bytes, named by their hash
    <folder>/.new_…         on their way; renamed once they are whole and on the disk

What is hashed is the copy, never the source: a source that changes while it is copied gives the content of no moment in
particular, but its hash and size are those of what is kept. Copying shares blocks where the file system can, and leaves
the work to the kernel elsewhere (copy_file_range(2)). Everything here blocks, and may be called from any thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from execd.errors import StorageFull
from execd.identifiers import new_id

_CHUNK = 8 * 1024 * 1024
_TEMPORARY = ".new_"
_HASH = re.compile(r"[0-9a-f]{64}")
_NOT_IN_KERNEL = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})

Hurry = Callable[[], None]
"""Called again and again during long work; what it raises ends the work, and nothing of it stays."""


class TooLarge(Exception):
    """There is more content than was allowed."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Content that is here: its SHA-256 in hexadecimal digits, its size in bytes, and how it begins."""

    sha256: str
    size: int
    head: bytes = b""


class Blobs:
    """The contents in one folder, which is nobody else's. What is put is held, and not removed, until `release`: by
    then something should refer to it that the caller of `remove` can see."""

    def __init__(self, folder: Path, head_bytes: int = 8192) -> None:
        """Makes the folder, and removes what a service that was killed has left half-done in it. Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"{_TEMPORARY}*"):
            left.unlink(missing_ok=True)
        self._folder = folder
        self._head_bytes = head_bytes
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def put(self, content: bytes) -> Blob:
        """Keep these bytes, held. Raises StorageFull."""

        def fill(target: int) -> None:
            view = memoryview(content)
            while view:
                view = view[os.write(target, view) :]

        return self._put(fill, lambda: None)

    def put_file(self, source: int, most: int, hurry: Hurry = lambda: None) -> Blob:
        """Keep what a descriptor of a regular file reads, from its beginning on, held. Raises TooLarge if these are
        more than `most` bytes, StorageFull, and OSError where it cannot be read."""

        def fill(target: int) -> None:
            copy_content(source, target, most, hurry)

        return self._put(fill, hurry)

    def release(self, sha256: str) -> None:
        """Let go of what was put once."""
        with self._lock:
            self._held[sha256] -= 1
            if self._held[sha256] <= 0:
                del self._held[sha256]

    def open(self, sha256: str) -> int:
        """A descriptor for reading. Raises FileNotFoundError, OSError."""
        return os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def remove(self, hashes: Collection[str]) -> int:
        """Remove those of them that nobody holds, and to which nothing refers any more; how many these were."""
        removed = 0
        for sha256 in hashes:
            with self._lock:
                if sha256 not in self._held:
                    with suppress(OSError):
                        self.path(sha256).unlink()
                        removed += 1
        return removed

    def hashes(self) -> list[str]:
        """Everything that is here, whatever else lies in the folder."""
        found = []
        for shelf in self._folder.iterdir():
            if len(shelf.name) == 2 and shelf.is_dir():
                found += [blob.name for blob in shelf.iterdir() if _HASH.fullmatch(blob.name)]
        return found

    def path(self, sha256: str) -> Path:
        """Where the content with this hash is, if it is here."""
        return self._folder / sha256[:2] / sha256

    def _put(self, fill: Callable[[int], None], hurry: Hurry) -> Blob:
        temporary = self._folder / new_id(".new")
        try:
            with _room_missing():
                fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                fill(fd)
                blob = self._described(fd, hurry)
                self._settle(temporary, fd, blob.sha256)
            finally:
                os.close(fd)
        finally:
            temporary.unlink(missing_ok=True)
        return blob

    def _described(self, fd: int, hurry: Hurry) -> Blob:
        digest = hashlib.sha256()
        size = 0
        while block := os.pread(fd, _CHUNK, size):
            hurry()
            digest.update(block)
            size += len(block)
        return Blob(digest.hexdigest(), size, os.pread(fd, self._head_bytes, 0))

    def _settle(self, temporary: Path, fd: int, sha256: str) -> None:
        place = self.path(sha256)
        with self._lock:
            self._held[sha256] += 1
            if place.exists():
                return
        try:
            with _room_missing():
                os.fdatasync(fd)
                place.parent.mkdir(mode=0o700, exist_ok=True)
                temporary.rename(place)
        except BaseException:
            self.release(sha256)
            raise


def copy_content(source: int, target: int, most: int, hurry: Hurry = lambda: None) -> int:
    """Copy a file into an empty one, from its beginning on; how many bytes these were. Raises TooLarge, StorageFull,
    OSError."""
    copied = 0
    copy = _copy_in_kernel
    while True:
        hurry()
        count = copy(source, target, min(_CHUNK, most + 1 - copied), copied)
        if count == 0 and copied == 0 and copy is _copy_in_kernel:
            # It is empty, or cannot be copied so.
            copy = _copy_block
            continue
        copied += count
        if copied > most:
            raise TooLarge
        if not count:
            return copied


def _copy_in_kernel(source: int, target: int, most: int, offset: int) -> int:
    try:
        with _room_missing():
            return os.copy_file_range(source, target, most, offset, offset)
    except OSError as error:
        if offset or error.errno not in _NOT_IN_KERNEL:
            raise
        return 0


def _copy_block(source: int, target: int, most: int, offset: int) -> int:
    block = os.pread(source, most, offset)
    view = memoryview(block)
    with _room_missing():
        while view:
            written = os.pwrite(target, view, offset)
            view, offset = view[written:], offset + written
    return len(block)


@contextmanager
def _room_missing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(error.strerror or str(error)) from error
        raise
