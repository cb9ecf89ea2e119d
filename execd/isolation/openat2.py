"""openat2(2): opening below a folder that somebody else writes to, without ever being led out of it.

Linux resolves the whole path in one call, so that nothing can be exchanged between a check and the use. Python has no
function for it; the number is that of x86_64 and aarch64, and the call is there from Linux 5.6 on.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

_OPENAT2 = 437

_NO_MOUNTS = 0x01
_NO_MAGIC_LINKS = 0x02
_NO_SYMLINKS = 0x04
_BENEATH = 0x08
_IN_ROOT = 0x10

# A rename anywhere makes a look-up with `..` uncertain, and the kernel then asks to be asked again.
_MOST_TRIES = 256


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


# The kernel only reads them, and there are few.
_KEPT: list[_How] = []
_HOW_BYTES = ctypes.sizeof(_How)

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)


def open_in_root(root: int, path: str | os.PathLike[str], flags: int) -> int:
    """Open a path as if the folder `root` were `/`: absolute symlinks begin there, `..` ends there, and the links of
    /proc that lead anywhere are refused. Raises OSError."""
    return _open(root, path, flags, _IN_ROOT | _NO_MAGIC_LINKS)


def open_beneath(folder: int, path: str | os.PathLike[str], flags: int) -> int:
    """Open a path below a folder on which there is no symlink at all. Raises OSError."""
    return _open(folder, path, flags, _BENEATH | _NO_SYMLINKS | _NO_MAGIC_LINKS)


def is_mount_point(folder: int, name: str) -> bool:
    """Whether something is mounted on a name in an open folder. Raises OSError."""
    try:
        os.close(_open(folder, name, os.O_PATH | os.O_NOFOLLOW, _NO_MOUNTS))
    except OSError as error:
        if error.errno == errno.EXDEV:
            return True
        raise
    return False


def _open(folder: int, path: str | os.PathLike[str], flags: int, resolve: int) -> int:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    how = _how(flags | os.O_CLOEXEC, resolve)
    for _ in range(_MOST_TRIES):
        fd: int = _syscall(_OPENAT2, folder, name, how, _HOW_BYTES)
        if fd >= 0:
            return fd
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), os.fspath(path))


@cache
def _how(flags: int, resolve: int) -> int:
    _KEPT.append(_How(flags, 0, resolve))
    return ctypes.addressof(_KEPT[-1])
