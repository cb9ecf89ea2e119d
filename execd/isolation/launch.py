"""Starting a process in a sandbox: what is asked for, and what comes back. Who does it stands behind `Launcher`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from signal import Signals
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be started, as the leader of a session of its own.

    `cwd` is a path as the sandbox sees it, `env` is the whole environment, and `fds` says which of our descriptors the
    process has under which numbers: 0, 1 and 2 are always among them, and it has no others. With `terminal`,
    descriptor 0 becomes its controlling terminal. `uid` and `gid` are for where there are no walls; None is the
    sandbox's own. One that is `held` stays a zombie when it has ended, so that no other process gets its number,
    until it is released. `keep` names descriptors of ours that whoever starts it keeps a copy of, for the service that
    comes after this one: until then a pipe whose end is kept is no broken one. How a process has ended whose ends are
    kept is remembered until it is released. By its `label` that service finds it.
    """

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    fds: Mapping[int, int]
    terminal: bool = False
    uid: int | None = None
    gid: int | None = None
    held: bool = False
    keep: Mapping[str, int] = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` as exit(3) got it, or minus the signal's number. What it and the children that it
    waited for took: CPU seconds, and the largest resident size in bytes; None where nobody knows. `oom`: it was killed
    for its sandbox had no memory left."""

    code: int
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    oom: bool = False


class Started(Protocol):
    """A process that was started. Its `pid` is the one that the service sees."""

    pid: int
    exit: Exit | None

    def on_exit(self, callback: Callable[[Exit], None]) -> None:
        """Call this, in the event loop, once it has ended; soon, if it has."""

    def signal(self, signum: Signals) -> None:
        """Signal the process; nothing once it has ended."""

    def signal_group(self, signum: Signals) -> None:
        """Signal its process group; nothing once it has ended."""

    def drop(self, *names: str) -> None:
        """Have these of the descriptors that are kept for it closed, which may be what it waits for."""

    def release(self) -> None:
        """Let its number go to others, if it was `held`, and have what is kept for it closed. Safe to call twice."""


class Launcher(Protocol):
    """Starts processes in one sandbox."""

    def launch(self, wanted: Launch) -> Started:
        """Start it; returns when it executes its program, which takes milliseconds. A program without a slash in its
        name is searched for on the PATH of `env`. Raises OSError with the errno of what failed: ENOENT for a program
        or a folder that is not there, EACCES, EAGAIN for too many processes."""

    async def begin(self, wanted: Launch) -> Started:
        """The same, while others go on."""

    async def fork_kernel(self, wanted: Launch) -> Started:
        """Start a Python kernel, whose `argv` is a Python, the kernel's script and its arguments, as a fork of the
        zygote that has this Python. Raises OSError."""


def launch_first(launcher: Launcher, ways: Iterable[Launch]) -> Started:
    """Start the first of these whose program is there. Raises OSError, as `launch` does for the last."""
    *others, last = ways
    for wanted in others:
        try:
            return launcher.launch(wanted)
        except FileNotFoundError:
            continue
    return launcher.launch(last)


async def begin_first(launcher: Launcher, ways: Iterable[Launch]) -> Started:
    """The same, while others go on."""
    *others, last = ways
    for wanted in others:
        try:
            return await launcher.begin(wanted)
        except FileNotFoundError:
            continue
    return await launcher.begin(last)


def what_failed(error: OSError) -> str:
    """Why a launch failed, for a person: what it was about, where that is known, and what the machine says."""
    why = error.strerror or str(error)
    return f"{error.filename}: {why}" if error.filename else why
