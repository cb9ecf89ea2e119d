"""A process that runs for a user in a sandbox: its output pumped without a thread, its end told by who started it.

It has ended when its leader has; what its descendants still write to the same pipes afterwards is passed on too,
until they close them. Nothing polls.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import anyio

from execd.isolation.launch import Exit, Launch, Launcher, Started, launch_first
from execd.kernel.tree import MARKER, kill_marked

_CHUNK = 256 * 1024
_CHATTY = 64 * 1024
_PIPE_SIZE = 1024 * 1024

OnOutput = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start: `argv`, or the first of the `instead` whose program is there where that one's is not. `marker`
    identifies the process tree, `uid` None stays as it is and `gid` None is that user's own. `stdin` is a file
    descriptor that the child gets as its own, or what it is to read there (None: it is empty); it gets `pass_fds` under
    their numbers."""

    argv: Sequence[str]
    cwd: PurePath
    env: Mapping[str, str]
    marker: str
    uid: int | None = None
    gid: int | None = None
    merge_stderr: bool = False
    instead: tuple[Sequence[str], ...] = ()
    stdin: int | bytes | None = None
    pass_fds: tuple[int, ...] = ()


class ChildProcess:
    """A running process. `on_output` gets `stdout` or `stderr` and bytes, in the event loop; b"" at a stream's end."""

    def __init__(
        self, launcher: Launcher, spec: ChildSpec, on_output: OnOutput, on_exit: Callable[[], None] | None = None
    ) -> None:
        """Start it, in a session of its own. `on_exit` is called once its output is in. Raises OSError."""
        self.exited = anyio.Event()
        self.exit: Exit | None = None
        self.marker = spec.marker
        self._on_output = on_output
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, str] = {}
        self._started = self._launch(launcher, spec)
        self.pid = self._started.pid
        for fd in self._streams:
            self._loop.add_reader(fd, self._pump, fd)
        self._started.on_exit(self._leader_ended)

    @property
    def silent(self) -> bool:
        """Whether nothing can come any more: whoever had the other ends of the pipes has closed them."""
        return not self._streams

    @property
    def exit_code(self) -> int | None:
        """How the leader ended, None while it runs."""
        return None if self.exit is None else self.exit.code

    def signal_leader(self, signum: signal.Signals) -> None:
        """Signal the leader alone; nothing once it has ended."""
        self._started.signal(signum)

    def signal_group(self, signum: signal.Signals) -> None:
        """Signal the leader's process group; nothing once the leader has ended."""
        self._started.signal_group(signum)

    def kill_tree(self) -> None:
        """Kill every process that was started for this one, in whatever group or session it is now."""
        self.signal_group(signal.SIGKILL)
        kill_marked(self.marker)

    def close(self) -> None:
        """Stop listening to the pipes. Safe to call twice."""
        for fd in list(self._streams):
            self._close_stream(fd)

    def _launch(self, launcher: Launcher, spec: ChildSpec) -> Started:
        stdout, stdout_end = self._pipe("stdout")
        stderr, stderr_end = (stdout, stdout_end) if spec.merge_stderr else self._pipe("stderr")
        stdin = spec.stdin if isinstance(spec.stdin, int) else _given(spec.stdin)
        fds = {0: stdin, 1: stdout_end, 2: stderr_end, **{fd: fd for fd in spec.pass_fds}}
        env = {**spec.env, MARKER: spec.marker}
        try:
            wanted = Launch(tuple(spec.argv), str(spec.cwd), env, fds, uid=spec.uid, gid=spec.gid)
            return launch_first(launcher, [wanted, *(replace(wanted, argv=tuple(argv)) for argv in spec.instead)])
        except BaseException:
            for fd in {stdout, stderr}:
                self._streams.pop(fd)
                os.close(fd)
            raise
        finally:
            for fd in {stdout_end, stderr_end, stdin} - {spec.stdin}:
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

    def _leader_ended(self, how: Exit) -> None:
        self.exit = how
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


def _given(content: bytes | None) -> int:
    """A descriptor to read this from, and nothing else. Raises OSError."""
    if content is None:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    # A pipe would have to be filled while the process reads.
    fd = os.memfd_create("input", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    except BaseException:
        os.close(fd)
        raise
    return fd
