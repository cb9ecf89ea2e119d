"""Users and groups: what they are called, and which numbers of the machine they are.

Behind walls the numbers differ: the sandbox's user is 1000 inside and another one outside, and it is the only one that
there is. The names are those of the sandbox's own /etc/passwd and /etc/group, which it may have written itself.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Protocol

from execd.errors import InvalidRequest, NotAFile, UserNotInside
from execd.isolation.shown import shown

INSIDE_ID = 1000

# What Linux shows a process of owners that its user namespace does not have.
_NOBODY = 65534
_NO_ID = 2**32 - 1
_TABLE_BYTES = 1024 * 1024

ReadText = Callable[[PurePath, int], str]


class Accounts(Protocol):
    """The users and groups of a file tree. Numbers are the machine's, unless it says that they are the sandbox's."""

    def uid(self, name: str) -> int:
        """The number of a user: a name, or the sandbox's number as text. Raises InvalidRequest."""

    def gid(self, name: str) -> int:
        """The same of a group. Raises InvalidRequest."""

    def user(self, uid: int) -> str:
        """The name of a user; where there is none, the sandbox's number."""

    def group(self, gid: int) -> str:
        """The name of a group; where there is none, the sandbox's number."""

    def identity(self, name: str) -> tuple[int, int] | None:
        """The numbers of the user with this name and of its own group; None where there is nobody of that name whose
        files could be worked on."""

    def home(self, name: str) -> str | None:
        """The home folder of the user with this name."""

    def home_of(self, uid: int) -> str | None:
        """The home folder of the user with this number."""

    def groups_of(self, uid: int, gid: int) -> list[int]:
        """The groups that a user is in, `gid` among them."""

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """What the sandbox's numbers of a user and a group are on the machine. Raises UserNotInside."""


class MachineAccounts:
    """Those of the machine, from wherever it has them (NSS)."""

    def uid(self, name: str) -> int:
        """A number needs no name."""
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):
            return _plain_number(name, "owner", "user", "on this machine")

    def gid(self, name: str) -> int:
        """A number needs no name."""
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return _plain_number(name, "group", "group", "on this machine")

    def user(self, uid: int) -> str:
        """The name, or the number."""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)

    def group(self, gid: int) -> str:
        """The name, or the number."""
        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return str(gid)

    def identity(self, name: str) -> tuple[int, int] | None:
        """None for a user that the machine does not know."""
        try:
            entry = pwd.getpwnam(name)
        except (KeyError, ValueError):
            return None
        return entry.pw_uid, entry.pw_gid

    def home(self, name: str) -> str | None:
        """None for a user that the machine does not know."""
        try:
            return pwd.getpwnam(name).pw_dir
        except (KeyError, ValueError):
            return None

    def home_of(self, uid: int) -> str | None:
        """None for a user that the machine does not know."""
        try:
            return pwd.getpwuid(uid).pw_dir
        except KeyError:
            return None

    def groups_of(self, uid: int, gid: int) -> list[int]:
        """`gid` alone for a user that the machine does not know."""
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return [gid]
        return os.getgrouplist(name, gid)

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """The same: there are no walls between."""
        return uid, gid


MACHINE = MachineAccounts()


class SandboxAccounts:
    """Those behind walls: one user with one group, `outside` on the machine and 1000 inside."""

    def __init__(self, read_text: ReadText, outside: tuple[int, int]) -> None:
        self._read_text = read_text
        self._uid, self._gid = outside

    def uid(self, name: str) -> int:
        """Refuses every user but the one that there is."""
        return self._mapped(name, "passwd", "owner", "user")

    def gid(self, name: str) -> int:
        """Refuses every group but the one that there is."""
        return self._mapped(name, "group", "group", "group")

    def user(self, uid: int) -> str:
        """The name that the sandbox has for the number that it sees."""
        return self._name("passwd", INSIDE_ID if uid == self._uid else _NOBODY)

    def group(self, gid: int) -> str:
        """The name that the sandbox has for the number that it sees."""
        return self._name("group", INSIDE_ID if gid == self._gid else _NOBODY)

    def identity(self, name: str) -> tuple[int, int] | None:
        """Only for the one user that there is."""
        number = next((fields[2] for fields in self._table("passwd") if shown(fields[0]) == name), None)
        return (self._uid, self._gid) if number == str(INSIDE_ID) else None

    def home(self, name: str) -> str | None:
        """As the sandbox's table says."""
        return next((fields[5] for fields in self._table("passwd") if fields[0] == name and len(fields) > 5), None)

    def home_of(self, uid: int) -> str | None:
        """As the sandbox's table says."""
        inside = str(INSIDE_ID if uid == self._uid else _NOBODY)
        return next((fields[5] for fields in self._table("passwd") if fields[2] == inside and len(fields) > 5), None)

    def groups_of(self, uid: int, gid: int) -> list[int]:  # noqa: ARG002  # there is only one user
        """The one group."""
        return [gid]

    def outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Only 1000 is anybody outside."""
        if (uid, gid) != (INSIDE_ID, INSIDE_ID):
            raise UserNotInside(f"uid {uid}, gid {gid}", f"uid {INSIDE_ID}, gid {INSIDE_ID}")
        return self._uid, self._gid

    def _mapped(self, name: str, table: str, field: str, what: str) -> int:
        number = next((fields[2] for fields in self._table(table) if shown(fields[0]) == name), name)
        if _plain_number(number, field, what, "in this sandbox") == INSIDE_ID:
            return self._uid if field == "owner" else self._gid
        raise InvalidRequest(
            f"this sandbox has one {what}, {INSIDE_ID}; {name[:80]!r} is another, whom nothing can be given", field
        )

    def _name(self, table: str, inside: int) -> str:
        return next((shown(fields[0]) for fields in self._table(table) if fields[2] == str(inside)), str(inside))

    def _table(self, name: str) -> Iterator[list[str]]:
        try:
            text = self._read_text(PurePath("/etc", name), _TABLE_BYTES)
        except (OSError, NotAFile):
            return
        for line in text.split("\n"):
            fields = line.split(":")
            if len(fields) > 3 and fields[0] and "\0" not in line:
                yield fields


def _plain_number(name: str, field: str, what: str, where: str) -> int:
    if name.isascii() and name.isdigit() and len(name) <= 10 and int(name) < _NO_ID:
        return int(name)
    raise InvalidRequest(f"there is no {what} {name[:80]!r} {where}", field)
