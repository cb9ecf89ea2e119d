"""Names in open folders, and what descriptors have found: everything that is done to files without a path."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath

from execd.errors import NotADirectory, NotAFile
from execd.isolation.openat2 import is_mount_point
from execd.isolation.shown import kind_of, shown

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Mounted(OSError):
    """Something is mounted on the name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in an open folder, whether or not there is something. `path` is what to call it."""

    folder: int
    name: str
    path: PurePath

    def lstat(self) -> os.stat_result:
        """What is there, a symlink itself. Raises OSError."""
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def beside(self, name: str) -> Entry:
        """Another name in the same folder."""
        return Entry(self.folder, name, self.path)

    def create(self, mode: int) -> int:
        """A descriptor of a new file, for reading and writing. Raises OSError."""
        return os.open(self.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=self.folder)

    def make_folder(self, mode: int = 0o777) -> int:
        """An O_PATH descriptor of a new folder. Raises OSError."""
        os.mkdir(self.name, mode, dir_fd=self.folder)
        return os.open(self.name, os.O_PATH | FOLDER, dir_fd=self.folder)

    def link(self) -> str | None:
        """Where the symlink that is there points to; None for anything else and for nothing. Raises OSError."""
        try:
            return os.readlink(self.name, dir_fd=self.folder)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            return None

    def unlink(self) -> None:
        """Delete what is no folder. Raises OSError."""
        self.check_unmounted()
        os.unlink(self.name, dir_fd=self.folder)

    def rmdir(self) -> None:
        """Delete an empty folder. Raises OSError."""
        self.check_unmounted()
        os.rmdir(self.name, dir_fd=self.folder)

    def rename(self, place: Entry) -> None:
        """Move it to another name, in place of what is there. Raises OSError."""
        self.check_unmounted()
        with suppress(FileNotFoundError):
            place.check_unmounted()
        os.replace(self.name, place.name, src_dir_fd=self.folder, dst_dir_fd=place.folder)

    def check_unmounted(self) -> None:
        """Raise Mounted where something is, and OSError."""
        # Linux refuses to take mount points away only where it is asked from the namespace that has the mount. From
        # any other, it would take the mount away as well.
        if is_mount_point(self.folder, self.name):
            raise Mounted(errno.EBUSY, os.strerror(errno.EBUSY), str(self.path))

    def open_regular(self, flags: int) -> int:
        """A descriptor of the regular file that is there. Raises NotAFile for anything else, without having opened
        it, and OSError."""
        found = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            return reopen_regular(found, self.path, flags)
        finally:
            os.close(found)


def by_descriptor(fd: int) -> str:
    """A path to exactly what a descriptor is open on, for what O_PATH descriptors cannot do themselves."""
    return f"/proc/self/fd/{fd}"


def _reopen(fd: int, flags: int) -> int:
    return os.open(by_descriptor(fd), flags | os.O_NONBLOCK | os.O_CLOEXEC)


def identity(fd: int) -> tuple[int, int]:
    """Which file or folder a descriptor is open on."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def reopen_folder(found: int, path: PurePath) -> int:
    """A descriptor for reading the folder that was found. Raises NotADirectory for anything else, and OSError."""
    mode = os.fstat(found).st_mode
    if not stat.S_ISDIR(mode):
        raise NotADirectory(shown(path), kind_of(mode))
    return _reopen(found, os.O_RDONLY | os.O_DIRECTORY)


def reopen_regular(found: int, path: PurePath, flags: int) -> int:
    """A descriptor of the regular file that was found. Raises NotAFile for anything else, without having opened it, and
    OSError."""
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        raise NotAFile(shown(path), kind_of(mode))
    return _reopen(found, flags)
