"""Mode, owner and group of files: read, asked for, set."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from execd.errors import InvalidRequest, NotADirectory
from execd.service.paths import kind_of, shown

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

    @property
    def uid(self) -> int:
        """The owner's number, -1 to leave it. Raises InvalidRequest for one that the machine does not know."""
        return _number_of_user(self.owner) if self.owner else _LEAVE

    @property
    def gid(self) -> int:
        """The group's number, -1 to leave it. Raises InvalidRequest for one that the machine does not know."""
        return _number_of_group(self.group) if self.group else _LEAVE

    def check(self) -> None:
        """Raise InvalidRequest unless the machine knows owner and group."""
        _ = self.uid, self.gid

    def apply(self, target: int | Path) -> None:
        """Give it to a file, by descriptor or path. Raises InvalidRequest or OSError."""
        uid, gid = self.uid, self.gid
        if (uid, gid) != (_LEAVE, _LEAVE):
            os.chown(target, uid, gid)
        # After the owner: changing that clears the set-user-id bit.
        if self.mode:
            os.chmod(target, self.mode)  # noqa: PTH101  # the target may be a descriptor

    def apply_owner(self, target: int | Path) -> None:
        """Only owner and group."""
        Permission(0, self.owner, self.group).apply(target)


def _number_of_user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return _plain_number(name, "owner", "user")


def _number_of_group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return _plain_number(name, "group", "group")


def _plain_number(name: str, field: str, what: str) -> int:
    if name.isascii() and name.isdigit() and int(name[:10]) < 2**32 - 1 and len(name) <= 10:
        return int(name)
    raise InvalidRequest(f"there is no {what} {name[:80]!r} on this machine", field)


class Names:
    """The names behind uids and gids, each looked up once; the number where there is no name."""

    def __init__(self) -> None:
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] = {}

    def user(self, uid: int) -> str:
        """The user's name."""
        if uid not in self._users:
            try:
                self._users[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                self._users[uid] = str(uid)
        return self._users[uid]

    def group(self, gid: int) -> str:
        """The group's name."""
        if gid not in self._groups:
            try:
                self._groups[gid] = grp.getgrgid(gid).gr_name
            except KeyError:
                self._groups[gid] = str(gid)
        return self._groups[gid]


def make_folders(folder: Path, permission: Permission) -> list[Path]:
    """Make a folder and the missing ones above it, all with the permission's owner and group. Returns those that were
    made, the outermost first. Raises NotADirectory where something else is in the way, and OSError."""
    missing = []
    above = folder
    while not above.is_dir():
        missing.append(above)
        if above == above.parent:
            break
        above = above.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            _make_folder(path)
            made.append(path)
            permission.apply_owner(path)
    except BaseException:
        remove_folders(made)
        raise
    return made


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except FileExistsError:
        raise NotADirectory(shown(path), kind_of(path.lstat().st_mode)) from None


def remove_folders(made: list[Path]) -> None:
    """Remove folders that `make_folders` made, as far as nothing is in them."""
    for path in reversed(made):
        try:
            path.rmdir()
        except OSError:
            return
