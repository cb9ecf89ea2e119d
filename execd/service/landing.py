"""New content for a file: written beside its place, and put there in one step once it is whole.

Whoever reads the file meanwhile has the old content or the new one, never a mixture, and a crash of the machine does
not change that: the content is synced, then renamed, then the folder is synced. Where a folder cannot take a second
file (it is not writable, or the file is a mount point of its own) the content is written through into the file that
is there.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from execd.errors import FileFailed, NotAFile
from execd.identifiers import new_id
from execd.isolation.entry import Entry, identity
from execd.isolation.identity import Identity
from execd.isolation.root import Root
from execd.isolation.shown import kind_of, shown
from execd.service.ownership import Permission, make_folders, remove_folders
from execd.service.paths import file_errors

TEMPORARY_PREFIX = ".execd-landing_"

_NEW_FILE_MODE = 0o644
_COPY_BYTES = 1024 * 1024

# A sync of one file waits for the disk; from this many on, one sync of the whole file system is quicker.
_SYNCED_ONE_BY_ONE = 8


class PendingFile:
    """Content on its way to `target`. `write`, `settle`, `land`, in this order; `discard` at any time, and always.

    Missing folders above are made, with the permission's owner and group. What the permission leaves alone stays as
    the old file had it. Raises NotAFile when something else than a regular file is at the target, and the file
    errors of `execd.errors`.
    """

    def __init__(self, root: Root, target: PurePath, permission: Permission) -> None:
        self.root = root
        self.given = target
        self._permission = permission
        self._size = 0
        self._fd = -1
        self._temporary = ""
        self._made: list[PurePath] = []
        self.folders: set[PurePath] = set()
        with file_errors(target):
            if root.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # A symlink stays: what it points to is replaced.
            self.target = root.followed(target)
            # Before anything is made: is there such an owner?
            permission.check(root.accounts)
            self._made = make_folders(root, self.target.parent, permission)
            try:
                with root.entry(self.target) as entry:
                    self._folder = identity(entry.folder)
                    self._before = _regular_or_nothing(entry)
                    self._open(entry)
            except BaseException:
                remove_folders(root, self._made)
                raise

    def write(self, content: bytes | bytearray | memoryview) -> None:
        """Add to the content."""
        with file_errors(self.given):
            write_all(self._fd, content)
        self._size += len(content)

    def fill(self, source: int, offset: int, size: int) -> None:
        """Add a stretch of another file, by its descriptor, to the content."""
        with file_errors(self.given):
            copy(source, offset, size, self._fd)
        self._size += size

    def settle(self, syncing: Syncing) -> None:
        """The content is whole: check its size, give it its permission. It may land once `syncing` has finished."""
        with file_errors(self.given):
            written = os.fstat(self._fd).st_size
            if written != self._size:
                raise FileFailed(f"{shown(self.given)!r}: wrote {self._size} bytes, and {written} are there")
            if self._temporary:
                self._inherit()
                self._permission.apply(self._fd, self.root.accounts)
                syncing.add(self._fd)
                self._close()

    def land(self) -> None:
        """Put the content in its place. `folders` are then those to be synced by `sync_folders`."""
        with file_errors(self.given), self._entry() as entry:
            if self._temporary:
                self._replace(entry)
            else:
                self._write_through(entry, self._fd)
        self._temporary = ""
        self.folders = {self.target.parent, *(made.parent for made in self._made)}
        self._made = []
        self._close()

    def discard(self) -> None:
        """Leave no trace of content that has not landed. Safe to call twice."""
        self._close()
        if self._temporary:
            with contextlib.suppress(OSError), self._entry() as entry:
                entry.beside(self._temporary).unlink()
            self._temporary = ""
        remove_folders(self.root, self._made)
        self._made = []

    @contextmanager
    def _entry(self) -> Iterator[Entry]:
        # Not kept open: an upload may have any number of files, in as many folders.
        with self.root.entry(self.target) as entry:
            if identity(entry.folder) != self._folder:
                raise OSError(errno.ESTALE, "its folder was replaced by another meanwhile")
            yield entry

    def _open(self, entry: Entry) -> None:
        temporary = f"{TEMPORARY_PREFIX}{new_id('')[1:]}"
        try:
            self._fd = entry.beside(temporary).create(0o600)
            self._temporary = temporary
        except PermissionError:
            self._open_elsewhere(entry)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            self._open_elsewhere(entry)

    def _open_elsewhere(self, entry: Entry) -> None:
        if self._before is None:
            raise PermissionError(errno.EACCES, "its folder is not writable")
        os.close(entry.open_regular(os.O_WRONLY))
        self._fd = anonymous_file()

    def _inherit(self) -> None:
        before = self._before
        if before is not None:
            # A plain user can give nothing away; the file becomes theirs, as it does when an editor saves it.
            with contextlib.suppress(PermissionError):
                os.fchown(self._fd, before.st_uid, before.st_gid)
        os.fchmod(self._fd, _NEW_FILE_MODE if before is None else stat.S_IMODE(before.st_mode))

    def _replace(self, entry: Entry) -> None:
        temporary = entry.beside(self._temporary)
        try:
            temporary.rename(entry)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            source = temporary.open_regular(os.O_RDONLY)
            try:
                self._write_through(entry, source)
            finally:
                os.close(source)
                temporary.unlink()

    def _write_through(self, entry: Entry, source: int) -> None:
        fd = entry.open_regular(os.O_WRONLY | os.O_TRUNC)
        try:
            copy(source, 0, self._size, fd)
            self._permission.apply(fd, self.root.accounts)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _regular_or_nothing(entry: Entry) -> os.stat_result | None:
    try:
        found = entry.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(shown(entry.path), kind_of(found.st_mode))
    return found


def anonymous_file() -> int:
    """A descriptor of an empty file that has no name and ends with the descriptor."""
    # The service's, whoever it acts as: the folder for temporary files may be closed to others.
    with Identity.own().assumed(), tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def write_all(fd: int, content: bytes | bytearray | memoryview) -> None:
    """Write everything, however often the kernel wants to be asked. Raises OSError."""
    with memoryview(content) as whole:
        written = 0
        while written < len(whole):
            with whole[written:] as left:
                written += os.write(fd, left)


def copy(source: int, offset: int, size: int, fd: int) -> None:
    """Append `size` bytes of one descriptor, from `offset` on, to another. Raises OSError."""
    while size > 0:
        content = os.pread(source, min(size, _COPY_BYTES), offset)
        if not content:
            raise OSError(errno.EIO, "it became shorter while it was copied")
        write_all(fd, content)
        offset += len(content)
        size -= len(content)


class Syncing:
    """Gets the content of files to the disk, be they few or very many. `finish` must be called, or `close`."""

    def __init__(self) -> None:
        self._count = 0
        self._disks: dict[int, int] = {}

    def add(self, fd: int) -> None:
        """A file whose content is whole. The descriptor may be closed afterwards. Raises OSError."""
        self._count += 1
        if self._count <= _SYNCED_ONE_BY_ONE:
            os.fsync(fd)
        else:
            disk = os.fstat(fd).st_dev
            if disk not in self._disks:
                self._disks[disk] = os.dup(fd)

    def finish(self) -> None:
        """Return when everything is on its disk. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        for fd in self._disks.values():
            if libc.syncfs(fd) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self.close()

    def close(self) -> None:
        """Give the descriptors back. Safe to call twice."""
        while self._disks:
            os.close(self._disks.popitem()[1])


def sync_folders(root: Root, folders: set[PurePath]) -> None:
    """Have the entries of these folders on the disk. A folder that may be written to but not read is left out."""
    for folder in folders:
        try:
            fd = root.open_folder(folder)
        except OSError:
            continue
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
