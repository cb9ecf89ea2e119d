"""Landlock: which files a process may touch, whether it may use TCP, whom it may signal.

For machines that allow no namespaces. The rules are made once for a sandbox, into a descriptor that may be sent to
whoever applies it (entrance.settle). Only the standard library; https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from execd.isolation.etc import COPIED
from execd.isolation.plan import Plan

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE = 444, 445
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_FIRST = (1 << 13) - 1  # what version 1 knows
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_ADDED = {2: _REFER, 3: _TRUNCATE, 5: _IOCTL_DEV}

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

TCP_SINCE, SCOPE_SINCE = 4, 6
_TCP = 3  # bind and connect
_SCOPE = 3  # abstract unix sockets and signals

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Rules:
    """Files and folders, with all that is in them, by what may be done to them: read and executed; changed, made and
    removed; used as devices. A path that is not there is no error and gives nothing."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    devices: tuple[str, ...]


def abi() -> int:
    """The version of Landlock that the kernel offers; 0 for none."""
    return max(_syscall(_CREATE_RULESET, None, 0, _VERSION), 0)


def rules(plan: Plan) -> Rules:
    """What a sandbox may touch: its binds, which are where they are on the machine, and what programs need.

    Terminals only where the sandbox has a user of its own: they are files, and its user's others may be in use.
    """
    system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sys/devices/system/cpu"]
    for name in (*COPIED, "passwd", "group", "nsswitch.conf", "hosts", "resolv.conf"):
        system += sorted(glob.glob(f"/etc/{name}"))
    devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"]
    if plan.uid is not None:
        devices += ["/dev/ptmx", "/dev/pts"]
    writable = tuple(bind.source for bind in plan.binds if bind.writable)
    return Rules((*system, *(bind.source for bind in plan.binds if not bind.writable)), writable, tuple(devices))


def ruleset(wanted: Rules) -> int:
    """A descriptor of these rules, close-on-exec, with which a process may restrict itself. No TCP, and no signals or
    abstract sockets to the outside, as far as the kernel's version goes. Raises OSError."""
    version = abi()
    handled = _FIRST
    for since, right in _ADDED.items():
        handled |= right if version >= since else 0
    attributes = struct.pack("QQQ", handled, _TCP, _SCOPE)
    known = 24 if version >= SCOPE_SINCE else 16 if version >= TCP_SINCE else 8
    rules_fd = _syscall(_CREATE_RULESET, attributes, known, 0)
    if rules_fd < 0:
        raise _failure("landlock_create_ruleset")
    try:
        _allow(rules_fd, wanted.read, _READ & handled)
        _allow(rules_fd, wanted.write, handled & ~(_MAKE_CHAR | _MAKE_BLOCK))
        _allow(rules_fd, wanted.devices, (_DEVICE | _READ_DIR) & handled)
    except BaseException:
        os.close(rules_fd)
        raise
    return rules_fd


def _allow(rules_fd: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                folder = stat.S_ISDIR(os.fstat(fd).st_mode)
                rule = struct.pack("=Qi", rights if folder else rights & _OF_A_FILE, fd)
                if _syscall(_ADD_RULE, rules_fd, _PATH_BENEATH, rule, 0) < 0:
                    raise _failure(f"landlock_add_rule: {path}")
            finally:
                os.close(fd)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    given = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return int(_libc.syscall(ctypes.c_long(number), *given))


def _failure(step: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{step}: {os.strerror(number)}")
