"""A process that execd starts for a user: its output pumped without a thread, its exit seen through a pidfd.

It has ended when its leader has; what its descendants still write to the same pipes afterwards is passed on too,
until they close them. Nothing polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from execd.kernel.tree import MARKER, kill_marked

_CHUNK = 256 * 1024
_CHATTY = 64 * 1024
_PIPE_SIZE = 1024 * 1024

OnOutput = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start: `marker` identifies the process tree, `uid` None stays as it is and `gid` None is that user's
    own, `stdin` is a file descriptor that the child gets as its own, as it gets `pass_fds` under their numbers."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    marker: str
    uid: int | None = None
    gid: int | None = None
    merge_stderr: bool = False
    stdin: int = subprocess.DEVNULL
    pass_fds: tuple[int, ...] = ()


class ChildProcess:
    """A running process. `on_output` gets `stdout` or `stderr` and bytes, in the event loop; b"" at a stream's end."""

    def __init__(self, spec: ChildSpec, on_output: OnOutput, on_exit: Callable[[], None] | None = None) -> None:
        """Start it, in a session of its own. `on_exit` is called once its output is in. Raises OSError."""
        self.exited = anyio.Event()
        self.exit_code: int | None = None
        self.usage: resource.struct_rusage | None = None
        self.marker = spec.marker
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, str] = {}
        self._popen = self._spawn(spec)
        self._peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.pid = self._popen.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._leader_ended)
        for fd in self._streams:
            self._loop.add_reader(fd, self._pump, fd)

    @property
    def silent(self) -> bool:
        """Whether nothing can come any more: whoever had the other ends of the pipes has closed them."""
        return not self._streams

    def signal_leader(self, signum: signal.Signals) -> None:
        """Signal the leader alone; nothing once it has ended."""
        if not self.exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def signal_group(self, signum: signal.Signals) -> None:
        """Signal the leader's process group; nothing once the leader has ended."""
        if not self.exited.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signum)

    def kill_tree(self) -> None:
        """Kill every process that was started for this one, in whatever group or session it is now."""
        self.signal_group(signal.SIGKILL)
        kill_marked(self.marker)

    @property
    def peak_memory(self) -> int | None:
        """The largest resident size in bytes of the leader or of a child that it waited for, once it has ended.

        None where nobody knows: until a process executes its program it is a copy of this service, and the kernel
        counts that too (getrusage(2)), so only a peak above our own is surely the program's.
        """
        if self.usage is None or self.usage.ru_maxrss <= self._peak_before:
            return None
        return self.usage.ru_maxrss * 1024

    def close(self) -> None:
        """Stop listening to the pipes. Safe to call twice."""
        for fd in list(self._streams):
            self._close_stream(fd)

    def _spawn(self, spec: ChildSpec) -> subprocess.Popen[bytes]:
        stdout, stdout_end = self._pipe("stdout")
        stderr, stderr_end = (stdout, stdout_end) if spec.merge_stderr else self._pipe("stderr")
        try:
            return subprocess.Popen(
                spec.argv,
                stdin=spec.stdin,
                pass_fds=spec.pass_fds,
                stdout=stdout_end,
                stderr=stderr_end,
                cwd=spec.cwd,
                env={**spec.env, MARKER: spec.marker},
                start_new_session=True,
                **_identity(spec.uid, spec.gid),
            )
        except BaseException:
            for fd in {stdout, stderr}:
                self._streams.pop(fd)
                os.close(fd)
            raise
        finally:
            for fd in {stdout_end, stderr_end}:
                os.close(fd)

    def _pipe(self, stream: str) -> tuple[int, int]:
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        self._streams[read_end] = stream
        return read_end, write_end

    def _pump(self, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if len(data) >= _CHATTY:
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        stream = self._streams[fd]
        if not data:
            self._close_stream(fd)
        self._on_output(stream, data)
        return bool(data)

    def _leader_ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        _, status, self.usage = os.wait4(self.pid, 0)
        self.exit_code = self._popen.returncode = os.waitstatus_to_exitcode(status)
        self.drain()
        self.exited.set()
        if self._on_exit is not None:
            self._on_exit()

    def drain(self) -> None:
        """Pass on what is in the pipes now. Bounded by what a pipe holds, even when somebody keeps writing."""
        for fd in list(self._streams):
            rounds = _PIPE_SIZE // _CHATTY
            while rounds and self._pump(fd):
                rounds -= 1

    def _close_stream(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        os.close(fd)
        del self._streams[fd]


def _identity(uid: int | None, gid: int | None) -> dict[str, Any]:
    if uid in (None, os.geteuid()) and gid in (None, os.getegid()):
        # Already so: switching to it takes rights that a container may have dropped.
        return {}
    user = os.geteuid() if uid is None else uid
    try:
        entry = pwd.getpwuid(user)
    except KeyError:
        return {"user": user, "group": user if gid is None else gid, "extra_groups": []}
    group = entry.pw_gid if gid is None else gid
    return {"user": user, "group": group, "extra_groups": os.getgrouplist(entry.pw_name, group)}
