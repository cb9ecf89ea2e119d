"""Users of the machine for sandboxes: numbers that nobody else has, one a sandbox."""

from __future__ import annotations

import zlib
from pathlib import Path

# Linux distributions and systemd leave the numbers from 0x70000000 to 0x7fffffff to nobody
# (https://systemd.io/UIDS-GIDS/). Each data folder has a stretch of its own in there.
_FIRST = 0x70000000
_STRETCH = 0x10000
_STRETCHES = 0x1000

DEFAULT = 0
"""Which of a data folder's users the sandbox `default` is: always the same one, since its workspace stays."""


class Users:
    """The users of one data folder's sandboxes."""

    def __init__(self, data_dir: Path) -> None:
        self._first = _FIRST + zlib.crc32(bytes(data_dir.absolute())) % _STRETCHES * _STRETCH
        self._taken: set[int] = set()
        self._next = DEFAULT + 1

    @property
    def default(self) -> int:
        """The user of the sandbox `default`."""
        return self._first + DEFAULT

    def take(self) -> int:
        """A user that no living sandbox is, and that none was for as long as there are others."""
        while self._next in self._taken:
            self._advance()
        number = self._next
        self._taken.add(number)
        self._advance()
        return self._first + number

    def claim(self, uid: int) -> None:
        """This one is a sandbox that lives already."""
        self._taken.add(uid - self._first)

    def give_back(self, uid: int) -> None:
        """The sandbox is gone, with its files and processes."""
        self._taken.discard(uid - self._first)

    def _advance(self) -> None:
        self._next = self._next % (_STRETCH - 1) + 1
