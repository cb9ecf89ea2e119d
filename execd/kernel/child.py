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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from execd.isolation.launch import Exit, Launch, Launcher, Started, begin_first, launch_first
from execd.kernel.tree import MARKER, kill_marked
from execd.waiting import Occasion

_CHUNK = 256 * 1024
_CHATTY = 64 * 1024
_PIPE_SIZE = 1024 * 1024
_STREAMS = ("stdout", "stderr")

OnOutput = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start: `argv`, or the first of the `instead` whose program is there where that one's is not. `marker`
    identifies the process tree, and is the label by which an adopter finds it. `uid` None stays as it is and `gid` None
    is that user's own, `stdin` is a file descriptor that the child gets as its own, or what it is to read there
    (None: it is empty); it gets `pass_fds` too, which are by the numbers that they have in the child. `keep` as in a
    Launch, besides the ends of its output."""

    argv: Sequence[str]
    cwd: PurePath
    env: Mapping[str, str]
    marker: str
    uid: int | None = None
    gid: int | None = None
    merge_stderr: bool = False
    instead: tuple[Sequence[str], ...] = ()
    stdin: int | bytes | None = None
    pass_fds: Mapping[int, int] = field(default_factory=dict)
    keep: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of what a process does. `on_output` gets `stdout` or `stderr` and bytes, in the event loop; b"" at a
    stream's end. `on_exit` is called once its output is in. What is kept for a process is kept until `close` for one
    that is `lasting`, otherwise until it has ended and is silent."""

    on_output: OnOutput
    on_exit: Callable[[], None] | None = None
    lasting: bool = False


class ChildProcess:
    """A running process: made by `start` or `begin`, or by `adopt` for one that an earlier service has started."""

    def __init__(self, started: Started, streams: Mapping[int, str], marker: str, listener: Listener) -> None:
        """`streams` are the descriptors to be read, by what they are; they are closed with it."""
        self.exited = Occasion()
        self.exit: Exit | None = None
        self.marker = marker
        self.pid = started.pid
        self._started = started
        self._listener = listener
        self._lasting = listener.lasting
        self._loop = asyncio.get_running_loop()
        self._streams = dict(streams)
        for fd in self._streams:
            self._loop.add_reader(fd, self._pump, fd)
        self._started.on_exit(self._leader_ended)

    @classmethod
    def start(cls, launcher: Launcher, spec: ChildSpec, listener: Listener) -> ChildProcess:
        """Start one, in a session of its own; others wait meanwhile. Raises OSError."""
        with _laid_out(spec) as (ways, streams):
            started = launch_first(launcher, ways)
        return cls(started, streams, spec.marker, listener)

    @classmethod
    async def begin(cls, launcher: Launcher, spec: ChildSpec, listener: Listener) -> ChildProcess:
        """The same, while others go on. Raises OSError."""
        with _laid_out(spec) as (ways, streams):
            started = await begin_first(launcher, ways)
        return cls(started, streams, spec.marker, listener)

    @classmethod
    def adopt(cls, started: Started, kept: dict[str, int], marker: str, listener: Listener) -> ChildProcess:
        """One that an earlier service has started, with what was kept for it: the ends of its output are taken out of
        there, and belong to the process from now on. What it has written meanwhile is in them."""
        streams = {kept.pop(stream): stream for stream in _STREAMS if stream in kept}
        return cls(started, streams, marker, listener)

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

    def hold(self) -> None:
        """Read no more of its output until `go_on`: it waits, once its pipes are full."""
        for fd in self._streams:
            self._loop.remove_reader(fd)

    def go_on(self) -> None:
        """Read its output. Nothing where it is not held."""
        for fd in self._streams:
            self._loop.add_reader(fd, self._pump, fd)

    def drop(self, *names: str) -> None:
        """Have these of the descriptors that are kept for it closed."""
        self._started.drop(*names)

    def leave(self) -> None:
        """Listen no more, and leave it as it is, with what is kept for it."""
        for fd in self._streams:
            self._loop.remove_reader(fd)
            os.close(fd)
        self._streams.clear()

    def close(self) -> None:
        """Stop listening to the pipes, and have nothing kept for it any more. Safe to call twice."""
        for fd in list(self._streams):
            self._close_stream(fd)
        self._started.release()

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
        self._listener.on_output(stream, data)
        return bool(data)

    def _leader_ended(self, how: Exit) -> None:
        self.exit = how
        self.drain()
        self.exited.set()
        self._release_if_over()
        if self._listener.on_exit is not None:
            self._listener.on_exit()

    def drain(self) -> None:
        """Pass on what is in the pipes now. Bounded by what a pipe holds, even when somebody keeps writing."""
        for fd in list(self._streams):
            rounds = _PIPE_SIZE // _CHATTY
            while rounds and self._pump(fd):
                rounds -= 1

    def _close_stream(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        os.close(fd)
        self._started.drop(self._streams.pop(fd))
        self._release_if_over()

    def _release_if_over(self) -> None:
        # Not before: how it ended, and what is still to be read, is there for the next service.
        if self.exit is not None and self.silent and not self._lasting:
            self._started.release()

    def settle(self) -> None:
        """Have nothing kept for it once it has ended and is silent, however `lasting` it was."""
        self._lasting = False
        self._release_if_over()


@contextlib.contextmanager
def _laid_out(spec: ChildSpec) -> Iterator[tuple[list[Launch], dict[int, str]]]:
    """The ways to launch it, and the ends of its output, which are the caller's when the block has ended well."""
    stdout, stdout_end = _pipe()
    stderr, stderr_end = (stdout, stdout_end) if spec.merge_stderr else _pipe()
    streams = {stdout: "stdout"} if spec.merge_stderr else {stdout: "stdout", stderr: "stderr"}
    stdin = spec.stdin if isinstance(spec.stdin, int) else _given(spec.stdin)
    try:
        yield _ways(spec, {0: stdin, 1: stdout_end, 2: stderr_end}, streams), streams
    except BaseException:
        for fd in streams:
            os.close(fd)
        raise
    finally:
        for fd in {stdout_end, stderr_end, stdin} - {spec.stdin}:
            os.close(fd)


def _ways(spec: ChildSpec, fds: Mapping[int, int], streams: Mapping[int, str]) -> list[Launch]:
    wanted = Launch(
        tuple(spec.argv),
        str(spec.cwd),
        {**spec.env, MARKER: spec.marker},
        {**fds, **spec.pass_fds},
        uid=spec.uid,
        gid=spec.gid,
        keep={**{stream: fd for fd, stream in streams.items()}, **spec.keep},
        label=spec.marker,
    )
    return [wanted, *(replace(wanted, argv=tuple(argv)) for argv in spec.instead)]


def _pipe() -> tuple[int, int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    return read_end, write_end


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
