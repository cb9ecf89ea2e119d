"""A file tree as a sandbox sees it, for a service that stands outside of it.

Whatever lies in the tree may be the sandbox's work: symlinks to anywhere, FIFOs, folders that are exchanged while
somebody walks through them. Every path is looked up by the kernel in one call that cannot leave the tree
(`execd.isolation.openat2`), and what was found is worked on by its descriptor: no path is looked up a second time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath

from execd.errors import NotADirectory, NotAFile
from execd.isolation.accounts import MACHINE, Accounts, SandboxAccounts
from execd.isolation.openat2 import is_mount_point, open_in_root
from execd.isolation.shown import kind_of, shown

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_MOST_LINKS = 40
_NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


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
        """Raise OSError where something is mounted on the name."""
        # Linux refuses to take mount points away only where it is asked from the namespace that has the mount. From
        # any other, it would take the mount away as well.
        if is_mount_point(self.folder, self.name):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(self.path))

    def open_regular(self, flags: int) -> int:
        """A descriptor of the regular file that is there. Raises NotAFile for anything else, without having opened
        it, and OSError."""
        found = os.open(self.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            return _reopen_regular(found, self.path, flags)
        finally:
            os.close(found)


class Root:
    """A file tree, by a descriptor of the folder that is its `/`; the descriptor is the Root's from then on. Paths are
    those of the sandbox, absolute. Everything raises OSError.

    New files and folders are given to `owner`, a uid and a gid of the machine, by a service that is somebody else.
    `accounts` says who is who in there; without it, there is one user behind walls.
    """

    def __init__(self, fd: int, owner: tuple[int, int] | None = None, accounts: Accounts | None = None) -> None:
        self.fd = fd
        self.owner = owner
        self.accounts = accounts or SandboxAccounts(self.read_text, owner or (os.geteuid(), os.getegid()))

    @classmethod
    def machine(cls, owner: tuple[int, int] | None = None) -> Root:
        """The machine's own tree, with its users and groups."""
        return cls(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), owner, MACHINE)

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: PurePath, flags: int) -> int:
        """A descriptor of what is at the path. Only with O_PATH, or for a folder, is it safe to have whatever it is."""
        return open_in_root(self.fd, path, flags)

    @contextmanager
    def target(self, path: PurePath) -> Iterator[int]:
        """An O_PATH descriptor of what the path leads to, through symlinks."""
        fd = self.open(path, os.O_PATH)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def itself(self, path: PurePath) -> Iterator[int]:
        """An O_PATH descriptor of what is at the path, a symlink itself."""
        fd = self.open(path, os.O_PATH | os.O_NOFOLLOW)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def entry(self, path: PurePath) -> Iterator[Entry]:
        """The path's last name, in the folder that the rest of it leads to. `/`, and what ends with `..`, is the name
        `.` in itself."""
        parent, name = (path, ".") if path.name in ("", "..") else (path.parent, path.name)
        folder = self.open(parent, os.O_PATH | os.O_DIRECTORY)
        try:
            yield Entry(folder, name, path)
        finally:
            os.close(folder)

    def followed(self, path: PurePath) -> PurePath:
        """The path with the symlinks at its end followed, as far as they lead, whether or not there is something."""
        for _ in range(_MOST_LINKS):
            try:
                with self.entry(path) as entry:
                    link = entry.link()
            except FileNotFoundError:
                return path
            if link is None:
                return path
            path = path.parent / link
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))

    def open_regular(self, path: PurePath) -> int:
        """A descriptor for reading a regular file, through symlinks. Raises NotAFile for anything else, without having
        opened it: neither a FIFO's writer nor a device notices."""
        with self.target(path) as found:
            return _reopen_regular(found, path, os.O_RDONLY)

    def open_folder(self, path: PurePath) -> int:
        """A descriptor for reading a folder, through symlinks."""
        return self.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def read_text(self, path: PurePath, limit: int) -> str:
        """The beginning of a regular file, at most `limit` bytes; those that are no UTF-8 are what os.fsencode makes
        bytes again. Raises NotAFile."""
        with open(self.open_regular(path), "rb") as file:
            return file.read(limit).decode("utf-8", "surrogateescape")

    def is_there(self, path: PurePath) -> bool:
        """Whether anything is at the path, be it a symlink that leads nowhere."""
        try:
            with self.itself(path):
                return True
        except OSError:
            return False

    def is_folder(self, path: PurePath) -> bool:
        """Whether the path leads to a folder."""
        try:
            os.close(self.open(path, os.O_PATH | os.O_DIRECTORY))
        except OSError as error:
            if error.errno not in _NO_FOLDER:
                raise
            return False
        return True

    def check_enterable(self, path: PurePath) -> None:
        """Raise OSError unless the path leads to a folder that the sandbox's processes can enter."""
        fd = self.open(path, os.O_PATH | os.O_DIRECTORY)
        try:
            if not self._may_enter(fd):
                raise PermissionError(errno.EACCES, "it cannot be entered", str(path))
        finally:
            os.close(fd)

    def _may_enter(self, fd: int) -> bool:
        if self.owner is None:
            return os.access(by_descriptor(fd), os.X_OK)
        found = os.fstat(fd)
        if found.st_uid == self.owner[0]:
            return bool(found.st_mode & stat.S_IXUSR)
        return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == self.owner[1] else stat.S_IXOTH))

    def make_folder(self, path: PurePath) -> None:
        """Make a folder and the missing ones above it. Raises FileExistsError or NotADirectoryError where something
        else is in the way."""
        for folder in self.missing(path):
            try:
                self.add_folder(folder)
            except FileExistsError:
                if folder == path:
                    raise
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None

    def missing(self, path: PurePath) -> list[PurePath]:
        """The folders that are not there of those that lead to the path and it itself, the outermost first."""
        found: list[PurePath] = []
        while not self.is_folder(path) and path != path.parent:
            found.insert(0, path)
            path = path.parent
        return found

    def add_folder(self, path: PurePath) -> bool:
        """Make one folder; whether that was needed. Raises FileExistsError where something else is in the way."""
        with self.entry(path) as entry:
            try:
                fd = entry.make_folder()
            except FileExistsError:
                if self.is_folder(path):
                    return False
                raise
            try:
                self.give(fd)
            finally:
                os.close(fd)
        return True

    def give(self, fd: int) -> None:
        """Make the sandbox's user the owner of something that the service has just made."""
        if self.owner is not None and os.fstat(fd).st_uid == os.geteuid() != self.owner[0]:
            os.chown(by_descriptor(fd), *self.owner)


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


def _reopen_regular(found: int, path: PurePath, flags: int) -> int:
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        raise NotAFile(shown(path), kind_of(mode))
    return _reopen(found, flags)
