"""A shell at the end of a line: started, watched, signalled, ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from execd.kernel.tree import MARKER, kill_marked
from execd.service.line import FileActions, Line, Mode
from execd.service.process_session import ProcessSession

# posix_spawn knows no working folder. A shell keeps the folder that it left in OLDPWD: ours is nobody's business.
_ENTER_AND_RUN = 'cd -- "$0" && unset OLDPWD && exec "$@"'

_FOR_THE_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM})


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """What to start: an interactive shell, or `shell -c command` where there is a command. `marker` is the value of
    the variable by which all that descends from it is found (`execd.kernel.tree.MARKER`)."""

    cwd: Path
    environment: Mapping[str, str]
    marker: str
    command: str = ""

    def argv(self) -> list[str]:
        """bash without its start-up files, or sh where there is no bash."""
        bash = shutil.which("bash", path=self.environment.get("PATH", os.defpath))
        shell = [bash, "--noprofile", "--norc"] if bash else ["/bin/sh"]
        return [*shell, "-c", self.command] if self.command else shell


class Shell:
    """A running shell, the leader of its own session; `line` is its connection. `on_exit` is called once, with its
    exit code: what it gave to exit(3), or 128 and the signal that ended it, as shells count."""

    def __init__(self, pid: int, line: Line, marker: str, on_exit: Callable[[int], None]) -> None:
        self.pid = pid
        self.line = line
        self._marker = marker
        self.session = ProcessSession(pid)
        self._on_exit = on_exit
        self._pidfd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._exited)

    @classmethod
    def start(cls, command: ShellCommand, mode: Mode, on_exit: Callable[[int], None]) -> Shell:
        """Start it. Raises OSError when that cannot be done."""
        if not os.access(command.cwd, os.X_OK):
            raise NotADirectoryError(f"{command.cwd} is not a folder that can be entered")
        with Line.opened(mode) as (line, actions):
            pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", _ENTER_AND_RUN, str(command.cwd), *command.argv()],
                {**command.environment, MARKER: command.marker},
                file_actions=[*_closing_inherited(), *actions],
                setsid=True,
                setsigmask=[],
                # A signal that we ignore, or were started to ignore, would be ignored by all that runs in there.
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
            return cls(pid, line, command.marker, on_exit)

    @property
    def running(self) -> bool:
        """Whether the shell itself still runs; what it started may outlive it."""
        return self._pidfd >= 0

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
        """End everything in its session, and what left the session, and reap it."""
        await self.session.end()
        if self.running:
            # The loop will not come round to the pidfd before this is over.
            self._exited()
        self.session.reap()
        await to_thread.run_sync(kill_marked, self._marker)

    def forget(self) -> bool:
        """Reap it if it has ended and nothing is left in its session; whether that is so."""
        if self.running or self.session.living():
            return False
        self.session.reap()
        return True

    def _exited(self) -> None:
        # Not reaped: its number is the session's.
        status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if status is None:
            return
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._on_exit(status.si_status if status.si_code == os.CLD_EXITED else 128 + status.si_status)


def _closing_inherited() -> FileActions:
    # What the service itself was started with and would pass on: a lock, a socket, an end of somebody's pipe.
    numbers = [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    return [(os.POSIX_SPAWN_CLOSE, fd) for fd in numbers if fd > 2 and _inherited(fd)]


def _inherited(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False  # it was the one that listed the others
