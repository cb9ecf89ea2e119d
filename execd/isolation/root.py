"""A file tree as a sandbox sees it, for a service that stands outside of it.

Whatever lies in the tree may be the sandbox's work: symlinks to anywhere, FIFOs, folders that are exchanged while
somebody walks through them. Every path is looked up by the kernel in one call that cannot leave the tree
(`execd.isolation.openat2`), and what was found is worked on by its descriptor: no path is looked up a second time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import PurePath

from execd.isolation.accounts import MACHINE, Accounts, SandboxAccounts
from execd.isolation.entry import Entry, reopen_regular
from execd.isolation.identity import Identity
from execd.isolation.openat2 import open_in_root

_MOST_LINKS = 40
_NO_FOLDER = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Root:
    """A file tree, by a descriptor of the folder that is its `/`; the descriptor is the Root's from then on. Paths are
    those of the sandbox, absolute. Everything raises OSError.

    `owner` is the user and the group, by the machine's numbers, that the sandbox's processes are, where the service
    itself is somebody else: within `acting` it may do no more than they, and what it makes is theirs. (On a file system
    that was mounted behind walls, nobody else could make anything.) `accounts` says who is who in there; without it,
    there is one user behind walls. `within` are the folders that everything must be in where not all of the tree is
    the sandbox's.
    """

    def __init__(
        self,
        fd: int,
        owner: tuple[int, int] | None = None,
        accounts: Accounts | None = None,
        within: Sequence[str] | None = None,
    ) -> None:
        self.fd = fd
        self._within = None if within is None else [os.path.realpath(folder) for folder in within]
        self.accounts = accounts or SandboxAccounts(self.read_text, owner or (os.geteuid(), os.getegid()))
        self._identity = Identity(*owner, self.accounts) if owner else None
        self.full = False
        """Whether what is in it takes all the room that it may: nothing new is to be written then."""

    @classmethod
    def machine(cls, owner: tuple[int, int] | None = None, within: Sequence[str] | None = None) -> Root:
        """The machine's own tree, or these folders of it, with the machine's users and groups."""
        return cls(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), owner, MACHINE, within)

    @property
    def shares_devices(self) -> bool:
        """Whether it is the machine's tree, of which the sandbox may touch a part: it has no /dev of its own."""
        return self._within is not None

    def acting(self) -> AbstractContextManager[None]:
        """Work on files as `owner` within the block, in this thread, without an await; as whoever one is where there
        is none. Raises IdentityRefused."""
        return nullcontext() if self._identity is None else self._identity.assumed()

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def open(self, path: PurePath, flags: int) -> int:
        """A descriptor of what is at the path. Only with O_PATH, or for a folder, is it safe to have whatever it is."""
        fd = open_in_root(self.fd, path, flags)
        try:
            self._check_within(fd, path)
        except BaseException:
            os.close(fd)
            raise
        return fd

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
            return reopen_regular(found, path, os.O_RDONLY)

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
        """Raise OSError unless the path leads to a folder that the sandbox's user can enter."""
        with self.acting():
            # The name `.` is looked up in it, which takes the permission to.
            fd = open_in_root(self.fd, f"{path}/.", os.O_PATH | os.O_DIRECTORY)
            try:
                self._check_within(fd, path)
            finally:
                os.close(fd)

    def make_folder(self, path: PurePath) -> None:
        """Make a folder and the missing ones above it, as the sandbox's user. Raises FileExistsError or
        NotADirectoryError where something else is in the way."""
        with self.acting():
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
                os.close(entry.make_folder())
            except FileExistsError:
                if self.is_folder(path):
                    return False
                raise
        return True

    def _check_within(self, fd: int, path: PurePath) -> None:
        # The kernel knows where it is by now. A sandbox can rename and link what is its own, and nothing else.
        if self._within is not None:
            found = os.readlink(f"/proc/self/fd/{fd}")
            if not any(found == folder or found.startswith(f"{folder}/") for folder in self._within):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
