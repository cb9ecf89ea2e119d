"""How a process is born: from a fork of one that has a single thread to where it runs its program in a sandbox.

Only the standard library, and nothing of execd but what it is given: a zygote, which runs in a kernel's own Python,
loads this file by its path. The way into the sandbox itself is isolation/entrance.py, loaded in the same way.

Whoever wants to know writes a pipe's end into `Birth.report`. It gets a line `{"pid": …}` as soon as there is a
process of that number, a line `{"error": …}` if it fails afterwards, and its end when the program runs.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import termios
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn


class Birth(NamedTuple):
    """What is to be born. `fds` says which of our descriptors the process has under which numbers; `how` is an
    Entrance, `holder`, `cgroups` and `ruleset` are what entrance.py asks for."""

    cwd: str
    fds: Mapping[int, int]
    terminal: bool
    report: int
    how: Any
    holder: int | None
    cgroups: Sequence[int]
    ruleset: int | None


def start(birth: Birth, entrance: Any, *, shim: bool) -> int | None:
    """Fork. Returns None here, and the report's descriptor in the new process, once that is where it belongs: it runs
    its program then, closes the report when that is under way, and says `fail` if it cannot be.

    With `shim` it is forked by a fork that ends at once, so that its parent is whoever adopts it.
    """
    return None if os.fork() else go(birth, entrance, shim=shim)


def go(birth: Birth, entrance: Any, *, shim: bool) -> int:
    """What `start` does in its fork, for a process that is one: with `shim`, this one ends, and its fork returns."""
    placed = birth
    try:
        placed = _with_high_fds(birth)
        _settle_in(placed, entrance, shim=shim)
    except BaseException as error:  # noqa: BLE001 - in a fork nobody else catches it
        fail(placed.report, error)
    return placed.report


def fail(report: int, error: BaseException) -> NoReturn:
    """Report why there is no such process, and end."""
    try:
        text, name = f"{type(error).__name__}: {error}", None
        number: int | None = errno.EINVAL
        if isinstance(error, OSError):
            number, text, name = error.errno, error.strerror or str(error), error.filename
        _tell(report, {"error": {"errno": number, "text": text, "file": name and os.fsdecode(name)}})
    finally:
        os._exit(1)


def execute(argv: Sequence[str], env: Mapping[str, str], report: int) -> NoReturn:
    """Become a program, which is looked up in the PATH of `env`."""
    try:
        os.execvpe(argv[0], list(argv), env)
    except OSError as error:
        fail(report, OSError(error.errno, error.strerror, argv[0]))
    except BaseException as error:  # noqa: BLE001 - as above
        fail(report, error)


def _settle_in(birth: Birth, entrance: Any, *, shim: bool) -> None:
    _reset_signals()
    _arrange(birth)
    entrance.join(birth.how, birth.holder, birth.cgroups)
    forked_by = _fork_again(birth) if shim else None
    if not shim:
        _tell(birth.report, {"pid": os.getpid()})
    _close(birth.holder, *birth.cgroups)
    os.setsid()
    if birth.terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    if birth.how.mode == entrance.PROCESS:
        # Whoever it becomes may not be able to get there; whoever asked for it is.
        os.chdir(birth.cwd)
    entrance.settle(birth.how, forked_by, birth.ruleset)
    _close(birth.ruleset)
    if birth.how.mode != entrance.PROCESS:
        os.chdir(birth.cwd)


def _fork_again(birth: Birth) -> int:
    shim = os.getpid()
    child = os.fork()
    if child:
        _tell(birth.report, {"pid": child})
        os._exit(0)
    return shim


def _with_high_fds(birth: Birth) -> Birth:
    """The same with descriptors that no number of the new process is among."""
    free = max(birth.fds, default=-1) + 1

    def high(fd: int) -> int:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, free)

    return birth._replace(
        fds={number: high(fd) for number, fd in birth.fds.items()},
        report=high(birth.report),
        holder=None if birth.holder is None else high(birth.holder),
        cgroups=[high(fd) for fd in birth.cgroups],
        ruleset=None if birth.ruleset is None else high(birth.ruleset),
    )


def _arrange(birth: Birth) -> None:
    """Give the descriptors their numbers, and close all others but those that the way in still takes."""
    for number, fd in birth.fds.items():
        os.dup2(fd, number)
    needed = [birth.report, *birth.cgroups, *(fd for fd in (birth.holder, birth.ruleset) if fd is not None)]
    for fd in set(map(int, os.listdir("/proc/self/fd"))).difference(birth.fds, needed):
        with contextlib.suppress(OSError):  # The one that listed them is closed.
            os.close(fd)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signal.getsignal(signum) is not signal.SIG_DFL:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _tell(report: int, what: Mapping[str, Any]) -> None:
    os.write(report, json.dumps(what).encode() + b"\n")


def _close(*fds: int | None) -> None:
    for fd in fds:
        if fd is not None:
            os.close(fd)
