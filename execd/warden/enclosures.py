"""Sandboxes as the warden has them: how each is made, entered and emptied, in every mode."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from execd.isolation import entering
from execd.isolation.cgroup import FREEZER, Group
from execd.isolation.entrance import Entrance
from execd.isolation.plan import Bind, Limits, Mode, Plan
from execd.isolation.uplink import UplinkPlan
from execd.warden.birth import Birth
from execd.warden.kills import Kills
from execd.warden.loop import Loop
from execd.warden.means import Means
from execd.warden.processes import Process, Processes, descendants
from execd.warden.writing import let_write

_PAUSE = 0.005
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
"""How a process ends that was killed, and a shell whose last command was."""
_FREEZING_LOOKS = 1000
_REMOVING_LOOKS = 1000


def plan_of(message: dict[str, Any]) -> Plan:
    """The plan that a client sent."""
    binds = tuple(Bind(**bind) for bind in message["binds"])
    limits, uplink = Limits(**message["limits"]), message.get("uplink")
    if uplink is not None:
        uplink = UplinkPlan(uplink["subnet"], tuple(uplink["own"]))
    return Plan(**{**message, "mode": Mode(message["mode"]), "binds": binds, "limits": limits, "uplink": uplink})


class Enclosed:
    """One sandbox. Without walls it is processes with limits, and the machine as it is; the others build on that."""

    walled = False

    def __init__(self, plan: Plan, processes: Processes, loop: Loop, means: Means) -> None:
        self.plan = plan
        self.lost = False
        self.on_lost: Callable[[], None] = lambda: None
        self._processes = processes
        self._loop = loop
        self._means = means
        self._group: Group | None = None
        self._sessions: set[int] = set()
        self._doomed: set[int] = set()
        self._on_closed: list[Callable[[], None]] = []
        self._emptied = False
        self._kills = Kills()
        self._stopped: set[tuple[int, int | None]] = set()

    def open(self, on_open: Callable[[OSError | None], None]) -> None:
        """Make it, and say so when it is there or cannot be made. Raises OSError."""
        if self.plan.limits != Limits():
            self._group = self._means.group(self.plan)
        on_open(None)

    @property
    def closing(self) -> bool:
        """Whether nothing may start in it any more."""
        return bool(self._on_closed) or self.lost

    def birth(self, wanted: dict[str, Any], fds: list[int], report: int) -> Birth:
        """How a process is born in it; the descriptors in `cgroups` are the caller's to close. Raises OSError."""
        if self.closing:
            raise OSError(errno.ESRCH, "the sandbox has ended")
        mapping = dict(zip(wanted["fds"], fds, strict=True))
        how = self._entrance(wanted.get("uid"), wanted.get("gid"))
        cgroups = self._group.entries() if self._group is not None else []
        holder, ruleset = self._keys()
        return Birth(wanted["cwd"], mapping, wanted["terminal"], report, how, holder, cgroups, ruleset)

    def root(self) -> int:
        """A descriptor of the root folder as it is inside, the caller's to close. Raises OSError."""
        return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def socket(self, family: int) -> socket.socket:
        """A new TCP socket that belongs to its network. Raises OSError."""
        return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)

    def freeze(self, on_frozen: Callable[[], None]) -> None:
        """Stop every process, and say so when all of them stand still. Raises OSError."""
        if self._group is None or FREEZER not in self._means.controllers:
            self._signal_all(signal.SIGSTOP)
            on_frozen()
            return
        self._group.freeze()
        self._await_frozen(self._group, on_frozen, _FREEZING_LOOKS)

    def thaw(self) -> None:
        """Let them go on. Raises OSError."""
        if self._group is None or FREEZER not in self._means.controllers:
            self._signal_all(signal.SIGCONT)
        else:
            self._group.thaw()

    def oom_kills(self) -> int:
        """How many processes the machine has killed for the memory that all of them took."""
        return 0 if self._group is None else self._group.oom_kills()

    def usage(self) -> dict[str, Any]:
        """What all of it uses, for `execd.isolation.usage.Usage`."""
        if self._group is None:
            return {}
        return {"memory": self._group.memory_needed(), "cpu_seconds": self._group.cpu_seconds()}

    def members(self) -> list[int]:
        """The processes in it, but for what holds it."""
        return sorted(self._members())

    def let_write(self, *, allowed: bool) -> None:
        """Let its processes write to files, or not: one that has given itself leave is killed."""
        members = {(pid, birth_of(pid)) for pid in self._members()}
        changed = let_write((pid for pid, _ in members), self.plan.uid, allowed=allowed)
        for pid, birth in self._stopped & members if not allowed else ():
            if pid in changed and birth is not None:
                kill(pid, signal.SIGKILL)
        self._stopped = set() if allowed else members

    def close(self, on_closed: Callable[[], None]) -> None:
        """End everything in it, and say so when all of it is gone."""
        self._on_closed.append(on_closed)
        self._go_on_closing()

    def started(self, process: Process) -> None:
        """A process of it runs."""
        self._kills.notice(self.oom_kills())
        self._sessions.add(process.pid)
        if self.closing:
            process.signal(signal.SIGKILL, group=True)

    def note_end(self, process: Process) -> None:
        """A process of it has ended: find out whether the machine killed it, or what it waited for, for want of memory.
        What else was killed so lately is taken for it."""
        if not self.closing:
            killed = process.ended is not None and process.ended.code in _KILLED
            process.oom = self._kills.explain(self.oom_kills(), violent=killed)

    def forget_session(self, pid: int) -> None:
        """Another sandbox's process has this number now."""
        self._sessions.discard(pid)

    def reaped(self, pid: int) -> None:
        """A process has ended and is gone, this sandbox's or not."""
        self._doomed.discard(pid)
        if self._on_closed:
            # What its parent has reaped before it was killed itself, nobody tells about.
            self._doomed = {doomed for doomed in self._doomed if exists(doomed)}
            if not self._doomed:
                self._go_on_closing()

    def _go_on_closing(self) -> None:
        if self._emptied:
            return
        self._kill_all()
        if self._is_empty():
            self._emptied = True
            self._remove_group(_REMOVING_LOOKS)

    def _kill_all(self) -> None:
        # Those that are held would keep a pid namespace from ending.
        self._processes.release_all(self.plan.id)
        for process in self._processes.of(self.plan.id):
            process.signal(signal.SIGKILL, group=True)
        if self._group is not None:
            self._group.kill()
        self._doomed = self._members()
        for pid in self._doomed:
            kill(pid, signal.SIGKILL)

    def _is_empty(self) -> bool:
        return not self._doomed and not self._processes.of(self.plan.id)

    def _remove_group(self, looks: int) -> None:
        if self._group is None or self._group.remove() or not looks:
            self._closed()
            return
        self._group.kill()
        self._loop.after(_PAUSE, lambda: self._remove_group(looks - 1))

    def _closed(self) -> None:
        self.lost = True
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()

    def _await_frozen(self, group: Group, on_frozen: Callable[[], None], looks: int) -> None:
        if group.frozen() or not looks:
            on_frozen()
        else:
            self._loop.after(_PAUSE, lambda: self._await_frozen(group, on_frozen, looks - 1))

    def _members(self) -> set[int]:
        """The processes in it: those that were started, their descendants, and orphans of their sessions."""
        started = {process.pid for process in self._processes.of(self.plan.id) if process.pid}
        below = {pid for member in started for pid in descendants(member)}
        return started | below | {pid for pid in descendants(os.getpid()) if session_of(pid) in self._sessions}

    def _signal_all(self, signum: signal.Signals) -> None:
        for pid in self._members():
            kill(pid, signum)

    def _keys(self) -> tuple[int | None, int | None]:
        """What entrance.py calls the holder and the ruleset."""
        return None, None

    def _entrance(self, uid: int | None, gid: int | None) -> Entrance:
        controllers = self._means.controllers if self._group is not None else frozenset()
        how = entering.entrance(self.plan, os.getpid(), controllers)
        if self.plan.mode is Mode.PROCESS:
            user, group, groups = identity(self.plan.uid if uid is None else uid, gid)
            return replace(how, uid=user, gid=group, groups=groups)
        return how


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


def exists(pid: int) -> bool:
    """Whether there is such a process, ended or not."""
    return os.path.exists(f"/proc/{pid}")


def birth_of(pid: int) -> int | None:
    """When a process was born, which tells it from an earlier one with its number; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None


def kill(pid: int, signum: int) -> None:
    """Signal a process, if it is there."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return
