"""Acting as another user on files, in one thread and for one piece of work.

Linux gives each thread credentials of its own. `setfsuid` and `setfsgid` change those that file access is checked
with, and take away from root what it may do beyond them (setfsuid(2), capabilities(7)); glibc passes them to the
calling thread alone. Its `setgroups` would change every thread, so the system call is made directly.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from execd.errors import IdentityRefused
from execd.isolation.accounts import MACHINE, Accounts

NO_ID = 2**32 - 1

_SETGROUPS = {"x86_64": 116, "aarch64": 159}


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group by their numbers on the machine, 0 to 2**32 - 2; they need no entry in any table."""

    uid: int
    gid: int
    accounts: Accounts = field(default=MACHINE, compare=False, repr=False)

    def __str__(self) -> str:
        return f"uid {self.uid}, gid {self.gid}"

    @classmethod
    def own(cls) -> Identity:
        """The identity that the service itself runs with."""
        return cls(os.geteuid(), os.getegid())

    @classmethod
    def inside(cls, accounts: Accounts, uid: int, gid: int) -> Identity:
        """A user of the sandbox, by the numbers that it has there. Raises UserNotInside."""
        return cls(*accounts.outside(uid, gid), accounts)

    @property
    def home(self) -> str | None:
        """The user's home folder, None for one that is not known."""
        return self.accounts.home_of(self.uid)

    def groups(self) -> list[int]:
        """The groups that the user is in, `gid` among them."""
        return self.accounts.groups_of(self.uid, self.gid)

    @contextmanager
    def assumed(self) -> Iterator[None]:
        """Act as this user on files within the block, in this thread only; blocks may be nested. Raises
        IdentityRefused.

        There must be no await inside: the thread belongs to the block.
        """
        own, credentials = Identity.own(), _ThreadCredentials()
        before = credentials.current()
        if self == before:
            yield
            return
        if own.uid != 0:
            raise IdentityRefused(str(self), str(own))
        groups = os.getgroups()
        try:
            if not credentials.take(self, self.groups()):
                raise IdentityRefused(str(self), f"{own}, without the capabilities to change that")
            yield
        finally:
            if not credentials.take(before, groups):
                # The thread would do somebody else's work with these rights. Nothing is safe but the end.
                os.abort()


class _ThreadCredentials:
    """What the calling thread accesses files with."""

    _libc = ctypes.CDLL(None, use_errno=True)
    _libc.setfsuid.restype = _libc.setfsgid.restype = ctypes.c_uint32

    def current(self) -> Identity:
        """The user and the group that count now. A number that no user has only asks which one is set."""
        return Identity(self._libc.setfsuid(ctypes.c_uint32(NO_ID)), self._libc.setfsgid(ctypes.c_uint32(NO_ID)))

    def take(self, identity: Identity, groups: Sequence[int]) -> bool:
        """Set all three; whether that worked. The uid comes last when power is given up, and first to get it back."""
        if identity.uid == 0:
            return self._set_uid(identity.uid) and self._set_groups(groups) and self._set_gid(identity.gid)
        return self._set_groups(groups) and self._set_gid(identity.gid) and self._set_uid(identity.uid)

    def _set_groups(self, groups: Sequence[int]) -> bool:
        if sorted(os.getgroups()) == sorted(groups):
            return True
        number = _SETGROUPS.get(platform.machine())
        if number is None:
            return False
        numbers = (ctypes.c_uint32 * len(groups))(*groups)
        return bool(self._libc.syscall(ctypes.c_long(number), ctypes.c_size_t(len(groups)), numbers) == 0)

    def _set_uid(self, uid: int) -> bool:
        # Neither call reports a failure.
        self._libc.setfsuid(ctypes.c_uint32(uid))
        return self.current().uid == uid

    def _set_gid(self, gid: int) -> bool:
        self._libc.setfsgid(ctypes.c_uint32(gid))
        return self.current().gid == gid
