"""One bash process that is told lines and reports back.

It reads its program from a pipe, a byte at a time, and a line only once it has done with the one before. The pipe has
room for a single buffer, so it can be written to again exactly when the shell has read everything and waits for more:
that is how a shell is caught that went on without doing what it was told, as after `set -n`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from execd.isolation.launch import Launcher, Started
from execd.kernel.child import ChildProcess, ChildSpec, Listener
from execd.kernel.lines import LineAssembler

# What a shell inherits has these numbers, which scripts do not use (`flock 200` is common).
CODE, STATE, VARIABLES, _REPORT, STDOUT, STDERR = range(240, 246)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryFile:
    """A file without a name, which a shell opens anew as `path`. Nothing in the file system can be in its way."""

    def __init__(self, number: int, fd: int | None = None) -> None:
        """`number` is what shells have it as; `fd` is ours, None for a new, empty one."""
        self.fd = os.memfd_create("execd") if fd is None else fd
        self.path = f"/dev/fd/{number}"

    def write(self, data: bytes) -> None:
        """Make this the whole content."""
        os.ftruncate(self.fd, 0)
        view, at = memoryview(data), 0
        while at < len(view):
            at += os.pwrite(self.fd, view[at:], at)

    def tail(self, size: int) -> bytes:
        """The last `size` bytes."""
        end = os.fstat(self.fd).st_size
        return os.pread(self.fd, size, max(end - size, 0))

    def close(self) -> None:
        """Give it back. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class ShellSpec:
    """How a shell is started: `prelude` is sourced first. All `files` are kept for it, and it inherits three of them:
    the `code` of a run, its `variables` (NAME=VALUE, a NUL after each), and `state`, where it writes its state when it
    ends."""

    argv: Sequence[str]
    prelude: Path
    cwd: PurePath
    env: Mapping[str, str]
    marker: str
    files: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShellHooks:
    """What a shell's owner is told: lines of a stream, the words of a report, that it waits for the next line, its
    end."""

    output: Callable[[str, str], None]
    report: Callable[[str, str], None]
    idle: Callable[[], None]
    ended: Callable[[], None]


class Shell:
    """A bash that has sourced its prelude: made by `start`, or by `adopt` for an earlier service's."""

    child: ChildProcess

    def __init__(self, hooks: ShellHooks, stdin: int, reports: int) -> None:
        """`stdin` and `reports` are our ends of pipes."""
        self._hooks = hooks
        self._listener = Listener(self._output, self._ended, lasting=True)
        self._loop = asyncio.get_running_loop()
        self._tail = b""
        self._lines = {"stdout": LineAssembler(), "stderr": LineAssembler()}
        self._stdin = stdin
        self._reports = reports

    @classmethod
    def start(cls, launcher: Launcher, spec: ShellSpec, hooks: ShellHooks) -> Shell:
        """Start one. Raises OSError."""
        stdin, ours = os.pipe()
        reports, report = os.pipe()
        files = spec.files
        passed = {CODE: files["code"], STATE: files["state"], VARIABLES: files["variables"], _REPORT: report}
        shell = cls(hooks, ours, reports)
        keep = {"stdin": ours, "reports": reports, **files}
        try:
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, _PAGE)
            child = ChildSpec(spec.argv, spec.cwd, spec.env, spec.marker, stdin=stdin, pass_fds=passed, keep=keep)
            shell.child = ChildProcess.start(launcher, child, shell._listener)
        except BaseException:
            shell._close_pipes()
            raise
        finally:
            for fd in (stdin, report):
                os.close(fd)
        shell._listen()
        shell.say(f". {shlex.quote(str(spec.prelude))} {_REPORT} {STATE} {STDOUT} {STDERR} {VARIABLES}")
        return shell

    @classmethod
    def adopt(cls, started: Started, kept: dict[str, int], marker: str, hooks: ShellHooks) -> Shell:
        """One that an earlier service has started. What is its own of what was kept is taken out of there."""
        shell = cls(hooks, kept.pop("stdin", -1), kept.pop("reports", -1))
        shell.child = ChildProcess.adopt(started, kept, marker, shell._listener)
        if shell._reports >= 0:
            shell._listen()
            # As after `say`: that it was told something, and has read all of it, may not have been seen.
            shell._loop.add_writer(shell._stdin, shell._has_read_all)
        return shell

    def _listen(self) -> None:
        os.set_blocking(self._reports, False)
        self._loop.add_reader(self._reports, self._read_reports)

    def say(self, line: str) -> None:
        """Tell it what to do next. Blocks for no longer than an idle shell takes to read a line."""
        # The empty line stays in the pipe until the shell has carried out the other one.
        with suppress(BrokenPipeError):
            os.write(self._stdin, os.fsencode(line) + b"\n\n")
        self._loop.add_writer(self._stdin, self._has_read_all)

    def flush(self) -> None:
        """Pass on all that has been written so far, a line without an end too."""
        self.child.drain()
        for stream in self._lines:
            self._output(stream, b"")

    def leave(self) -> None:
        """Listen no more, and leave it as it is."""
        self._close_pipes()
        self.child.leave()

    def close(self) -> None:
        """Stop listening to it. Safe to call twice."""
        self._close_pipes()
        self.child.close()

    def _output(self, stream: str, data: bytes) -> None:
        lines = self._lines[stream]
        text = lines.feed(data) if data else lines.finish()
        if text:
            self._hooks.output(stream, text)

    def _has_read_all(self) -> None:
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        [(_, seen)] = poll.poll(0) or [(-1, 0)]
        if not seen:  # It has been told something since.
            return
        self._loop.remove_writer(self._stdin)
        if not seen & select.POLLERR:  # With it, nobody reads any more: it has ended.
            self._read_reports()
            self._hooks.idle()

    def _read_reports(self) -> None:
        try:
            data = os.read(self._reports, _PAGE)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._reports)
            return
        *reports, self._tail = (self._tail + data).split(b"\n")
        for report in reports:
            token, _, word = report.decode("ascii", "replace").partition(" ")
            self._hooks.report(token, word)

    def _ended(self) -> None:
        if self._reports >= 0:
            self._read_reports()
        self._drop_pipes()
        self._hooks.ended()

    def _close_pipes(self) -> None:
        if self._stdin >= 0:
            self._loop.remove_writer(self._stdin)
            self._loop.remove_reader(self._reports)
            os.close(self._stdin)
            os.close(self._reports)
        self._stdin = self._reports = -1

    def _drop_pipes(self) -> None:
        self._close_pipes()
        self.child.drop("stdin", "reports")
