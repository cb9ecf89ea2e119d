"""A terminal: a shell that clients attach to one at a time, and that goes on while nobody is attached."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import anyio
import structlog

from execd.errors import InputRefused, TerminalGone, TerminalInUse, TerminalStartFailed, TerminalTakenOver
from execd.isolation.launch import Launcher, what_failed
from execd.service.attachment import Attachment
from execd.service.line import Line, Mode
from execd.service.replay import Replay
from execd.service.shell import Shell, ShellCommand

log = structlog.get_logger(__name__)

# How much typed-ahead input waits for a shell that does not read, before its sender has to wait as well.
INPUT_LIMIT = 1024 * 1024

# What can be left in a line when its shell ends: a pipe holds at most this much (pipe(7)), a pseudoterminal less.
_DRAIN_LIMIT = 1024 * 1024


class Terminal:
    """One terminal. The shell starts with the first attachment, and anew with the first one after it has ended.

    Everything happens in callbacks of the event loop; there is no task and no thread of its own.
    """

    def __init__(self, terminal_id: str, launcher: Launcher, command: Callable[[Mode], ShellCommand]) -> None:
        self.id = terminal_id
        self._launcher = launcher
        self.created_at = int(time.time() * 1000)
        self.mode: Mode | None = None
        self.exit_code: int | None = None
        self._command = command
        self._replay = Replay()
        self._shell: Shell | None = None
        # Shells that have ended, while something that they started still runs in their sessions.
        self._survived: list[Shell] = []
        self._holder: Attachment | None = None
        self._input = bytearray()
        self._input_drained = anyio.Event()
        self._input_error: OSError | None = None
        self._gone = False

    @property
    def running(self) -> bool:
        """Whether there is a shell."""
        return self._shell is not None

    @property
    def attached(self) -> bool:
        """Whether a client holds the terminal."""
        return self._holder is not None

    @property
    def output_offset(self) -> int:
        """How many bytes of output there were so far, of all its shells."""
        return self._replay.end

    def check_free(self) -> None:
        """Raise TerminalInUse when a client is attached."""
        if self._holder is not None:
            raise TerminalInUse(self.id)

    def attach(self, mode: Mode, since: int = 0, *, takeover: bool = False) -> Attachment:
        """Hold the terminal, with the output from the offset `since` on, and start its shell when none runs: only then
        does `mode` count. Raises TerminalInUse, TerminalStartFailed, TerminalGone."""
        if self._gone:
            raise TerminalGone(self.id)
        if not takeover:
            self.check_free()
        if self._holder is not None:
            self._holder.revoke(TerminalTakenOver(self.id))
        self._holder = None
        if self._shell is None:
            self._start(mode)
        holder = self._holder = Attachment(self._replay.since(since), self._release)
        return holder

    async def write(self, data: bytes) -> None:
        """Type. Waits while more than INPUT_LIMIT is typed ahead. Raises InputRefused when nobody will ever read it."""
        self._input += data
        self._write()
        while len(self._input) > INPUT_LIMIT and self._shell is not None:
            await self._input_drained.wait()
        if self._input_error is not None:
            raise InputRefused(self.id, self._input_error.strerror or str(self._input_error))

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window; nothing in pipe mode, or when no shell runs."""
        if self._shell is not None:
            self._shell.line.resize(columns, rows)

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal as `Shell.signal` does; nothing when no shell runs."""
        if self._shell is not None:
            self._shell.signal(signum)

    async def close(self) -> None:
        """End the holder's hold and everything that runs in the terminal. Safe to call twice."""
        self._gone = True
        if self._holder is not None:
            self._holder.revoke(TerminalGone(self.id))
            self._holder = None
        shells = [*self._survived, *([self._shell] if self._shell is not None else [])]
        async with anyio.create_task_group() as group:
            for shell in shells:
                group.start_soon(shell.end)
        self._survived.clear()

    def _start(self, mode: Mode) -> None:
        self._survived = [shell for shell in self._survived if not shell.forget()]
        try:
            self._shell = Shell.start(self._launcher, self._command(mode), mode, self._exited)
        except OSError as error:
            raise TerminalStartFailed(self.id, what_failed(error)) from error
        self.mode = mode
        self.exit_code = None
        self._input.clear()
        self._input_error = None
        self._read_on()
        log.info("terminal_started", terminal_id=self.id, pid=self._shell.pid, mode=mode.value)

    def _release(self, holder: Attachment) -> None:
        if self._holder is holder:
            self._holder = None

    def _read_on(self) -> None:
        if self._shell is not None:
            loop = asyncio.get_running_loop()
            for fd in self._shell.line.outputs:
                loop.add_reader(fd, self._readable, self._shell.line, fd)

    def _readable(self, line: Line, fd: int) -> None:
        if self._take(line, fd) == b"":
            # Its shell is about to end, or has closed it; the descriptor itself goes with the line.
            asyncio.get_running_loop().remove_reader(fd)
            return
        if self._holder is not None and self._holder.behind:
            for output in line.outputs:
                asyncio.get_running_loop().remove_reader(output)
            self._holder.when_relaxed(self._read_on)

    def _take(self, line: Line, fd: int) -> bytes | None:
        data = line.read(fd)
        if data:
            self._replay.append(data)
            if self._holder is not None:
                self._holder.put(line.outputs[fd], data)
        return data

    def _write(self) -> None:
        if self._shell is None or self._input_error is not None:
            self._input.clear()
        loop = asyncio.get_running_loop()
        line = self._shell.line if self._shell is not None else None
        try:
            while line is not None and self._input and (taken := line.write(self._input)):
                del self._input[:taken]
        except OSError as error:
            self._input_error = error
            self._input.clear()
        if line is not None and self._input:
            loop.add_writer(line.stdin, self._write)
        elif line is not None:
            loop.remove_writer(line.stdin)
        self._input_drained.set()
        self._input_drained = anyio.Event()

    def _exited(self, code: int) -> None:
        shell, self._shell = self._shell, None
        assert shell is not None
        self.exit_code = code
        self._drain(shell.line)
        self._write()
        if not shell.forget():
            self._survived.append(shell)
        if self._holder is not None:
            self._holder.finish(code)
            self._holder = None
        log.info("terminal_exited", terminal_id=self.id, exit_code=code)

    def _drain(self, line: Line) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_writer(line.stdin)
        for fd in line.outputs:
            loop.remove_reader(fd)
            size = 0
            while size < _DRAIN_LIMIT and (data := self._take(line, fd)):
                size += len(data)
        line.close()
