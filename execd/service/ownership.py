"""Mode, owner and group of files: read, asked for, set."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import PurePath

from execd.errors import InvalidRequest, NotADirectory
from execd.isolation.accounts import Accounts
from execd.isolation.entry import by_descriptor
from execd.isolation.root import Root
from execd.isolation.shown import kind_of, shown

_LEAVE = -1


def mode_bits(digits: int) -> int:
    """The permission bits that decimal digits spell out in octal: 755 is rwxr-xr-x. Raises InvalidRequest."""
    spelled = str(digits)
    if digits < 0 or len(spelled) > 4 or any(digit > "7" for digit in spelled):
        raise InvalidRequest(f"expected up to four octal digits written as a number, such as 644, got {digits}", "mode")
    return int(spelled, 8)


def mode_digits(mode: int) -> int:
    """The permission bits of a `st_mode` as decimal digits: rwxr-xr-x is 755."""
    return int(f"{stat.S_IMODE(mode):o}")


@dataclass(frozen=True, slots=True)
class Permission:
    """What a file shall have. 0 and "" leave alone what there is. Owner and group are names, or numbers as text."""

    mode: int = 0
    owner: str = ""
    group: str = ""

    def check(self, accounts: Accounts) -> None:
        """Raise InvalidRequest unless owner and group are known."""
        self._numbers(accounts)

    def apply(self, fd: int, accounts: Accounts) -> None:
        """Give it to what a descriptor is open on, with O_PATH too. Raises InvalidRequest or OSError."""
        target = by_descriptor(fd)
        uid, gid = self._numbers(accounts)
        if (uid, gid) != (_LEAVE, _LEAVE):
            os.chown(target, uid, gid)
        # After the owner: changing that clears the set-user-id bit.
        if self.mode:
            os.chmod(target, self.mode)  # noqa: PTH101  # a descriptor's path

    def owners(self) -> Permission:
        """Only owner and group of it."""
        return Permission(0, self.owner, self.group)

    def _numbers(self, accounts: Accounts) -> tuple[int, int]:
        uid = accounts.uid(self.owner) if self.owner else _LEAVE
        return uid, accounts.gid(self.group) if self.group else _LEAVE


class Names:
    """The names behind uids and gids, each looked up once."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def user(self, uid: int) -> str:
        """The user's name, or its number where there is none."""
        if uid not in self._users:
            self._users[uid] = self._accounts.user(uid)
        return self._users[uid]

    def group(self, gid: int) -> str:
        """The group's name, or its number where there is none."""
        if gid not in self._groups:
            self._groups[gid] = self._accounts.group(gid)
        return self._groups[gid]


def make_folders(root: Root, folder: PurePath, permission: Permission) -> list[PurePath]:
    """Make a folder and the missing ones above it, all with the permission's owner and group. Returns those that were
    made, the outermost first. Raises NotADirectory where something else is in the way, and OSError."""
    made: list[PurePath] = []
    try:
        for path in root.missing(folder):
            if _add_folder(root, path):
                made.append(path)
                with root.itself(path) as fd:
                    permission.owners().apply(fd, root.accounts)
    except BaseException:
        remove_folders(root, made)
        raise
    return made


def _add_folder(root: Root, path: PurePath) -> bool:
    try:
        return root.add_folder(path)
    except FileExistsError:
        with root.itself(path) as fd:
            raise NotADirectory(shown(path), kind_of(os.fstat(fd).st_mode)) from None


def remove_folders(root: Root, made: list[PurePath]) -> None:
    """Remove folders that `make_folders` made, as far as nothing is in them."""
    for path in reversed(made):
        try:
            with root.entry(path) as entry:
                entry.rmdir()
        except OSError:
            return
