"""Pseudoterminals of a sandbox: each belongs to the /dev/pts that the sandbox sees, where its programs find it by its
name. One of the machine's would be nameless in there."""

from __future__ import annotations

import fcntl
import os
import stat
from errno import ENODEV
from pathlib import PurePath

from execd.isolation.entry import by_descriptor
from execd.isolation.root import Root

_MULTIPLEXER = PurePath("/dev/ptmx")
_NUMBER = os.makedev(5, 2)

# ioctl_tty(2); Python has no names for them. Their numbers are the same on all architectures that people still use.
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441

_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC


def open_pair(root: Root) -> tuple[int, int]:
    """A new one: the end of who has the keyboard, and that of the programs, whose user it belongs to. Raises OSError,
    IdentityRefused."""
    if root.shares_devices:
        return os.openpty()
    with root.acting():
        ours = _open_multiplexer(root)
        try:
            fcntl.ioctl(ours, _TIOCSPTLCK, bytes(4))
            return ours, fcntl.ioctl(ours, _TIOCGPTPEER, _FLAGS)
        except BaseException:
            os.close(ours)
            raise


def _open_multiplexer(root: Root) -> int:
    with root.target(_MULTIPLEXER) as found:
        known = os.fstat(found)
        if not stat.S_ISCHR(known.st_mode) or known.st_rdev != _NUMBER:
            raise OSError(ENODEV, os.strerror(ENODEV), str(_MULTIPLEXER))
        return os.open(by_descriptor(found), _FLAGS)
