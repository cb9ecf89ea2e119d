"""Sandboxes as the warden has them: how each is made, entered and emptied, in every mode."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
from collections.abc import Callable
from typing import Any

from execd.isolation.entrance import Entrance
from execd.isolation.plan import Bind, Limits, Mode, Plan
from execd.warden.birth import Birth
from execd.warden.processes import Process, Processes, descendants


def plan_of(message: dict[str, Any]) -> Plan:
    """The plan that a client sent."""
    binds = tuple(Bind(**bind) for bind in message["binds"])
    return Plan(**{**message, "mode": Mode(message["mode"]), "binds": binds, "limits": Limits(**message["limits"])})


class Enclosed:
    """One sandbox without walls: processes with limits, and the machine as it is. The other modes build on it."""

    walled = False

    def __init__(self, plan: Plan, processes: Processes) -> None:
        self.plan = plan
        self.lost = False
        self._processes = processes
        self._sessions: set[int] = set()
        self._doomed: set[int] = set()
        self._on_closed: list[Callable[[], None]] = []

    def open(self, on_open: Callable[[OSError | None], None]) -> None:
        """Make it, and say so when it is there or cannot be made."""
        on_open(None)

    @property
    def closing(self) -> bool:
        """Whether nothing may start in it any more."""
        return bool(self._on_closed) or self.lost

    def birth(self, wanted: dict[str, Any], fds: list[int], report: int) -> Birth:
        """How a process is born in it. Raises OSError when it is gone."""
        if self.closing:
            raise OSError(errno.ESRCH, "the sandbox has ended")
        mapping = dict(zip(wanted["fds"], fds, strict=True))
        how = self._entrance(wanted.get("uid"), wanted.get("gid"))
        return Birth(wanted["cwd"], mapping, wanted["terminal"], report, how, None, (), None)

    def root(self) -> int:
        """A descriptor of the root folder as it is inside, the caller's to close. Raises OSError."""
        return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def socket(self, family: int) -> socket.socket:
        """A new TCP socket that belongs to its network. Raises OSError."""
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def freeze(self) -> None:
        """Stop every process. Raises OSError."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on. Raises OSError."""
        self._signal_all(signal.SIGCONT)

    def oom_kills(self) -> int:
        """How many processes the machine has killed for the memory that all of them took."""
        return 0

    def close(self, on_closed: Callable[[], None]) -> None:
        """End everything in it, and say so when all of it is gone."""
        self._on_closed.append(on_closed)
        self._go_on_closing()

    def started(self, process: Process) -> None:
        """A process of it runs."""
        self._sessions.add(process.pid)
        if self.closing:
            process.signal(signal.SIGKILL, group=True)

    def forget_session(self, pid: int) -> None:
        """Another sandbox's process has this number now."""
        self._sessions.discard(pid)

    def reaped(self, pid: int) -> None:
        """A process has ended and is gone, this sandbox's or not."""
        self._doomed.discard(pid)
        if self._on_closed and not self._doomed:
            self._go_on_closing()

    def _go_on_closing(self) -> None:
        for process in self._processes.of(self.plan.id):
            process.signal(signal.SIGKILL, group=True)
        self._doomed = self._members()
        for pid in self._doomed:
            kill(pid, signal.SIGKILL)
        if not self._doomed and not self._processes.of(self.plan.id):
            self._closed()

    def _closed(self) -> None:
        self._processes.release_all(self.plan.id)
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()
        self.lost = True

    def _members(self) -> set[int]:
        """The processes in it: those that were started, their descendants, and orphans of their sessions."""
        started = {process.pid for process in self._processes.of(self.plan.id) if process.pid}
        below = {pid for member in started for pid in descendants(member)}
        return started | below | {pid for pid in descendants(os.getpid()) if session_of(pid) in self._sessions}

    def _signal_all(self, signum: signal.Signals) -> None:
        for pid in self._members():
            kill(pid, signum)

    def _entrance(self, uid: int | None, gid: int | None) -> Entrance:
        limits, user = self.plan.limits, self.plan.uid if uid is None else uid
        user, group, groups = identity(user, gid)
        return Entrance(
            mode=self.plan.mode,
            uid=user,
            gid=group,
            groups=groups,
            open_files=limits.open_files,
            file_size=limits.file_size,
            processes=limits.processes,
            supervisor=os.getpid(),
        )


def identity(uid: int | None, gid: int | None) -> tuple[int | None, int | None, tuple[int, ...]]:
    """Whom a process becomes: user, group, further groups. None for who we are already: switching to that takes
    rights that a container may have dropped."""
    if uid in (None, os.geteuid()) and gid in (None, os.getegid()):
        return None, None, ()
    user = os.geteuid() if uid is None else uid
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return user, user if gid is None else gid, ()
    group = entry.pw_gid if gid is None else gid
    return user, group, tuple(os.getgrouplist(entry.pw_name, group))


def session_of(pid: int) -> int | None:
    """The session that a process is in, None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def kill(pid: int, signum: int) -> None:
    """Signal a process, if it is there."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return
