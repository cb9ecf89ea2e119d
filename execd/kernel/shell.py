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

from execd.isolation.launch import Launcher
from execd.kernel.child import ChildProcess, ChildSpec
from execd.kernel.lines import LineAssembler

# What a shell inherits is numbered from here: scripts do not use these (`flock 200` is common).
_FIRST_NUMBER = 240
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryFile:
    """A file without a name, which a shell opens anew as `path`. Nothing in the file system can be in its way."""

    def __init__(self, name: str) -> None:
        low = os.memfd_create(name)
        try:
            self.fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FIRST_NUMBER)
        finally:
            os.close(low)
        self.path = f"/dev/fd/{self.fd}"

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
class ShellFiles:
    """What a shell inherits besides its streams: the `code` of a run, its `variables` (NAME=VALUE, a NUL after each),
    and `state`, where it writes its state when it ends."""

    code: MemoryFile
    state: MemoryFile
    variables: MemoryFile


@dataclass(frozen=True, slots=True)
class ShellSpec:
    """How a shell is started: `prelude` is sourced first."""

    argv: Sequence[str]
    prelude: Path
    cwd: PurePath
    env: Mapping[str, str]
    marker: str
    files: ShellFiles


@dataclass(frozen=True, slots=True)
class ShellHooks:
    """What a shell's owner is told: lines of a stream, the words of a report, that it waits for the next line, its
    end."""

    output: Callable[[str, str], None]
    report: Callable[[str, str], None]
    idle: Callable[[], None]
    ended: Callable[[], None]


class Shell:
    """A bash that has sourced its prelude. `stdout` and `stderr` are the numbers, in it, of the service's pipes."""

    def __init__(self, launcher: Launcher, spec: ShellSpec, hooks: ShellHooks) -> None:
        """Start it. Raises OSError."""
        self._hooks = hooks
        self._loop = asyncio.get_running_loop()
        self._tail = b""
        self._lines = {"stdout": LineAssembler(), "stderr": LineAssembler()}
        stdin, self._stdin = os.pipe()
        self._reports, low = os.pipe()
        report = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _FIRST_NUMBER)
        files = spec.files
        passed = (report, files.code.fd, files.state.fd, files.variables.fd)
        self.stdout, self.stderr = max(passed) + 1, max(passed) + 2
        try:
            fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, _PAGE)
            child = ChildSpec(spec.argv, spec.cwd, spec.env, spec.marker, stdin=stdin, pass_fds=passed)
            self.child = ChildProcess(launcher, child, self._output, self._ended)
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for fd in (stdin, low, report):
                os.close(fd)
        os.set_blocking(self._reports, False)
        self._loop.add_reader(self._reports, self._read_reports)
        numbers = f"{report} {files.state.fd} {self.stdout} {self.stderr} {files.variables.fd}"
        self.say(f". {shlex.quote(str(spec.prelude))} {numbers}")

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
        self._close_pipes()
        self._hooks.ended()

    def _close_pipes(self) -> None:
        if self._stdin >= 0:
            self._loop.remove_writer(self._stdin)
            self._loop.remove_reader(self._reports)
            os.close(self._stdin)
            os.close(self._reports)
        self._stdin = self._reports = -1
