"""A shell at the end of a line: started, watched, signalled, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import anyio
from anyio import to_thread

from execd.isolation.launch import Exit, Launch, Launcher, Started, launch_first
from execd.kernel.tree import MARKER, kill_marked
from execd.service.line import Line, Mode, OpenPty
from execd.service.process_session import ProcessSession

_FOR_THE_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})
# Only a process that the kernel of the machine holds up is not gone so long after it was killed.
_END_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """What to start: an interactive shell, or `shell -c command` where there is a command. `marker` is the value of
    the variable by which all that descends from it is found (`execd.kernel.tree.MARKER`); `open_pty` makes a
    pseudoterminal where the shell is."""

    cwd: PurePath
    environment: Mapping[str, str]
    marker: str
    command: str = ""
    open_pty: OpenPty = os.openpty

    def launches(self, theirs: tuple[int, int, int], mode: Mode) -> list[Launch]:
        """How to start it, the way to be tried first being the first: bash without its start-up files, or sh where
        there is no bash."""
        environment = {**self.environment, MARKER: self.marker}
        fds = dict(enumerate(theirs))
        what = ("-c", self.command) if self.command else ()
        return [
            Launch(
                (*shell, *what),
                str(self.cwd),
                environment,
                fds,
                terminal=mode is Mode.PTY,
                held=True,
                label=self.marker,
            )
            for shell in (("bash", "--noprofile", "--norc"), ("/bin/bash", "--noprofile", "--norc"), ("/bin/sh",))
        ]


class Shell:
    """A running shell, the leader of its own session; `line` is its connection. `on_exit` is called once, with its
    exit code: what it gave to exit(3), or 128 and the signal that ended it, as shells count."""

    def __init__(self, started: Started, line: Line, marker: str, on_exit: Callable[[int], None]) -> None:
        self.pid = started.pid
        self.line = line
        self.session = ProcessSession(started)
        self._started = started
        self._marker = marker
        self._on_exit = on_exit
        self._ended = anyio.Event()
        started.on_exit(self._exited)

    @classmethod
    def start(cls, launcher: Launcher, command: ShellCommand, mode: Mode, on_exit: Callable[[int], None]) -> Shell:
        """Start it. Raises OSError when that cannot be done."""
        with Line.opened(mode, command.open_pty) as (line, theirs):
            started = launch_first(launcher, command.launches(theirs, mode))
            return cls(started, line, command.marker, on_exit)

    @property
    def running(self) -> bool:
        """Whether the shell itself still runs; what it started may outlive it."""
        return not self._ended.is_set()

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to what the keyboard talks to; one that ends terminals (HUP, KILL) also to the shell."""
        if not self.running:
            return
        groups = {self.line.foreground() or self.pid}
        if signum not in _FOR_THE_KEYBOARD:
            groups.add(self.pid)
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signum)

    async def end(self) -> None:
        """End everything in its session, and what left the session, and let its number go."""
        await self.session.end()
        with anyio.move_on_after(_END_PATIENCE):
            await self._ended.wait()
        self.session.forget()
        await to_thread.run_sync(kill_marked, self._marker)

    def forget(self) -> bool:
        """Let its number go if it has ended and nothing is left in its session; whether that is so."""
        if self.running or self.session.living():
            return False
        self.session.forget()
        return True

    def _exited(self, how: Exit) -> None:
        self._ended.set()
        self._on_exit(how.code if how.code >= 0 else 128 - how.code)
