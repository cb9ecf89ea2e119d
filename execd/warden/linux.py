"""The few things that Linux offers and the standard library does not."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import NamedTuple

# linux/prctl.h, linux/sched.h, linux/wait.h; waitid's number is one of the architecture's.
_PR_SET_CHILD_SUBREAPER = 36
_NEW_NAMESPACE = {"user": 0x10000000, "net": 0x40000000}
_WAITID = {"x86_64": 247, "aarch64": 95}

_libc = ctypes.CDLL(None, use_errno=True)


class Ended(NamedTuple):
    """How a process ended: `code` as in `Exit`, CPU seconds and largest resident size (bytes), children included."""

    code: int
    cpu_seconds: float | None
    peak_memory: int | None


def become_subreaper() -> None:
    """Adopt every descendant that has lost its parent."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0))


def join_network(member: int) -> None:
    """Enter the user and the network namespace that a process, given by its pidfd, is in."""
    _check(_libc.setns(member, _NEW_NAMESPACE["user"] | _NEW_NAMESPACE["net"]))


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("micro", ctypes.c_long))

    @property
    def total(self) -> float:
        return float(self.seconds) + float(self.micro) / 1e6


class _Usage(ctypes.Structure):
    _fields_ = (("user", _Time), ("system", _Time), ("peak", ctypes.c_long), ("others", ctypes.c_long * 13))


class _Info(ctypes.Structure):
    _fields_ = (
        ("signo", ctypes.c_int),
        ("errno", ctypes.c_int),
        ("code", ctypes.c_int),
        ("pad", ctypes.c_int),
        ("pid", ctypes.c_int),
        ("uid", ctypes.c_uint),
        ("status", ctypes.c_int),
        ("others", ctypes.c_int * 25),
    )


def look_at_ended(pid: int) -> Ended | None:
    """How a child ended, which stays a zombie; None while it runs. Raises ChildProcessError."""
    number = _WAITID.get(os.uname().machine)
    if number is None:
        return _look_without_usage(pid)
    info, usage = _Info(), _Usage()
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    called = _libc.syscall(ctypes.c_long(number), os.P_PID, pid, ctypes.byref(info), options, ctypes.byref(usage))
    _check(called)
    if info.pid == 0:
        return None
    seconds = usage.user.total + usage.system.total
    return Ended(_exit_code(info.code, info.status), seconds, usage.peak * 1024)


def _look_without_usage(pid: int) -> Ended | None:
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else Ended(_exit_code(found.si_code, found.si_status), None, None)


def _exit_code(how: int, status: int) -> int:
    return status if how == os.CLD_EXITED else -status


def send_signal(pidfd: int, signum: int) -> None:
    """Signal a process; nothing once it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return


def _check(result: int, name: str | None = None) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
