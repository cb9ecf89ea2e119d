"""The warden's children: those it was asked for, those that serve it, and orphans that it adopts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import resource
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from execd.warden.linux import Ended, look_at_ended
from execd.warden.loop import Loop

_PIPE = 65536


@dataclass(slots=True, eq=False)
class Process:
    """A process of a sandbox. `number` is its own for as long as the warden lives, which a pid is not."""

    number: int
    sandbox: str
    held: bool
    executes: bool
    pid: int = 0
    ended: Ended | None = None
    error: dict[str, Any] | None = None
    running: bool = False
    """Whether its program runs, or has run."""
    oom: bool = False
    """Whether it was killed since its sandbox had no memory left."""
    label: str = ""
    """What its client calls it."""
    kept: dict[str, int] | None = None
    """Copies of descriptors of its client's; None where nothing was to be kept, not even how it ended."""

    def keep(self, names: Sequence[str], fds: Sequence[int]) -> None:
        """Keep copies of these descriptors."""
        if names:
            self.kept = {}
        for name, fd in zip(names, fds, strict=True):
            assert self.kept is not None
            self.kept[name] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)

    def drop(self, names: Sequence[str] | None = None) -> None:
        """Close what is kept, or what of it has these names."""
        for name in list(self.kept or ()) if names is None else names:
            fd = (self.kept or {}).pop(name, None)
            if fd is not None:
                os.close(fd)

    def signal(self, signum: int, *, group: bool) -> None:
        """Signal it, or its group; nothing once its number may be another's."""
        if self.pid and (self.ended is None or (self.held and group)):
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(self.pid, signum)

    def describe(self) -> dict[str, Any]:
        """What clients are told of it."""
        found: dict[str, Any] = {"process": self.number, "pid": self.pid, "sandbox": self.sandbox, "held": self.held}
        found |= {"label": self.label, "kept": None if self.kept is None else list(self.kept)}
        return found if self.ended is None else found | self.ended._asdict() | {"oom": self.oom}


class Processes:
    """All of them. `on_start` hears of a process whose program runs or which has failed, `on_end` of every end."""

    def __init__(self, loop: Loop, on_end: Callable[[Process], None]) -> None:
        self._loop = loop
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._starting: dict[int, tuple[Process, Callable[[Process], None]]] = {}
        self._tails: dict[int, bytes] = {}
        self._by_pid: dict[int, Process] = {}
        self._servants: dict[int, Callable[[], None]] = {}
        self.known: dict[int, Process] = {}
        self.on_reaped: Callable[[int], None] = lambda _pid: None
        loop.on_signal(signal.SIGCHLD, self.reap)

    def expect(
        self, sandbox: str, on_start: Callable[[Process], None], *, held: bool, executes: bool
    ) -> tuple[Process, int]:
        """A process to come, and the descriptor that its Birth reports to, which is the caller's to close."""
        process = Process(next(self._numbers), sandbox, held, executes)
        reports, report = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reports, False)
        self._starting[reports] = process, on_start
        self._tails[reports] = b""
        self._loop.watch(reports, lambda: self._read(reports))
        return process, report

    def serve(self, pid: int, on_end: Callable[[], None]) -> None:
        """Let a child that is nobody's process be heard of when it has ended and been reaped."""
        self._servants[pid] = on_end

    def release(self, process: Process) -> None:
        """Let a held process's number go to others, now or when it ends, and keep nothing more for it."""
        was_held, process.held = process.held, False
        process.drop()
        process.kept = None
        if process.ended is not None and self.known.pop(process.number, None) is not None and was_held:
            self._forget(process)
            self.on_reaped(process.pid)

    def of(self, sandbox: str) -> list[Process]:
        """The processes of a sandbox that have not ended, those that are being started too."""
        coming = [process for process, _ in self._starting.values()]
        found = {process.number: process for process in (*self._by_pid.values(), *coming)}
        return [process for process in found.values() if process.sandbox == sandbox and process.ended is None]

    def any_left(self) -> bool:
        """Whether there is any child at all, or one to come."""
        return bool(self._starting or children())

    def release_all(self, sandbox: str) -> None:
        """Release every process of a sandbox."""
        for process in [process for process in self.known.values() if process.sandbox == sandbox]:
            self.release(process)

    def reap(self) -> None:
        """Take note of every child that has ended."""
        for pid in children():
            self._look_at(pid)

    def look_at(self, process: Process) -> None:
        """Take note of its end if it has ended, whatever has not been heard yet."""
        if process.pid in self._by_pid:
            self._look_at(process.pid)

    def _look_at(self, pid: int) -> None:
        if pid not in self._by_pid:
            if not _has_ended(pid):
                return
            # It was told of before it could end: what is not known now is an orphan, or one that serves.
            for reports in list(self._starting):
                if reports in self._starting:
                    self._read(reports)
        process = self._by_pid.get(pid)
        if process is None:
            self._reap(pid)
        elif process.running and process.ended is None:
            ended = look_at_ended(pid)
            if ended is not None:
                self._note(process, ended)
        elif process.error is not None and (_has_ended(pid) or pid not in children()):
            # Before it is told of: whoever waits for the sandbox to be empty counts then.
            del self._by_pid[pid]
            self._reap(pid)

    def _reap(self, pid: int) -> bool:
        try:
            reaped, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if reaped:
            self._servants.pop(pid, lambda: None)()
            self.on_reaped(pid)
        return bool(reaped)

    def _note(self, process: Process, ended: Ended) -> None:
        process.ended = self._surely(process, ended)
        if process.held:
            self._on_end(process)
            return
        if process.kept is None:
            self.known.pop(process.number, None)
        self._forget(process)
        self._on_end(process)
        self.on_reaped(process.pid)

    def _surely(self, process: Process, ended: Ended) -> Ended:
        # Until it executes its program it is a copy of the warden, and the machine counts that too (getrusage(2)).
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if process.executes and ended.peak_memory is not None and ended.peak_memory <= before:
            return ended._replace(peak_memory=None)
        return ended

    def _forget(self, process: Process) -> None:
        del self._by_pid[process.pid]
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, 0)

    def _read(self, reports: int) -> None:
        """Read what is there of a birth's report."""
        process, on_start = self._starting[reports]
        while True:
            try:
                data = os.read(reports, _PIPE)
            except BlockingIOError:
                return
            if not data:
                break
            *lines, self._tails[reports] = (self._tails[reports] + data).split(b"\n")
            for line in lines:
                self._heed(process, json.loads(line))
        self._loop.forget(reports)
        os.close(reports)
        del self._starting[reports], self._tails[reports]
        self._born(process, on_start)

    def _heed(self, process: Process, report: dict[str, Any]) -> None:
        if "pid" in report:
            process.pid = report["pid"]
            self._by_pid[process.pid] = process
        else:
            process.error = report["error"]

    def _born(self, process: Process, on_start: Callable[[Process], None]) -> None:
        if process.error is None and not process.pid:
            process.error = {"errno": errno.ECHILD, "text": "it ended before there was a process", "file": None}
        if process.error is None:
            process.running = True
            self.known[process.number] = process
        on_start(process)
        if process.pid:
            self._look_at(process.pid)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def children(pid: int | None = None) -> list[int]:
    """The children of a process, ended ones that nobody waited for too; none when it is gone."""
    of = os.getpid() if pid is None else pid
    try:
        with open(f"/proc/{of}/task/{of}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """All processes below one, parents first."""
    found = [pid]
    for member in found:
        found += children(member)
    return found[1:]
