"""Starting processes through a launcher, and waiting for what becomes of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from execd.isolation.launch import Exit, Launch, Launcher, Started
from execd.warden.processes import descendants

PATH = "/usr/local/bin:/usr/bin:/bin"
DEADLINE = 20.0


class Cases:
    """Processes in one sandbox, with what they print."""

    def __init__(self, launcher: Launcher, cwd: str) -> None:
        self.launcher = launcher
        self.cwd = cwd
        self.nothing = os.open(os.devnull, os.O_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self.nothing)

    def start(self, *argv: str, **options: Any) -> Started:
        """Start a program; it has no input and no output unless `fds` says otherwise."""
        return self.launcher.launch(self.launch(*argv, **options))

    def launch(self, *argv: str, **options: Any) -> Launch:
        """What is to be started."""
        fds = {**dict.fromkeys(range(3), self.nothing), **options.pop("fds", {})}
        return Launch(argv, **{"cwd": self.cwd, "env": {"PATH": PATH}, "fds": fds, **options})

    async def run(self, *argv: str, **options: Any) -> tuple[Exit, str]:
        """How it ended, and what it has printed."""
        with Output() as output:
            started = self.start(*argv, **options, fds={1: output.end, 2: output.end})
            how, text = await ended(started), await output.text()
        return how, text


class Output:
    """A pipe that processes print to."""

    def __init__(self) -> None:
        self._read, self.end = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self._read)
        self._close_end()

    async def text(self) -> str:
        """All of it, once nobody can print any more."""
        self._close_end()
        text = ""
        while chunk := await anyio.to_thread.run_sync(os.read, self._read, 65536):
            text += chunk.decode()
        return text

    async def line(self) -> str:
        """The next line."""
        text = ""
        while not text.endswith("\n"):
            text += (await anyio.to_thread.run_sync(os.read, self._read, 1)).decode()
        return text.strip()

    def _close_end(self) -> None:
        if self.end >= 0:
            os.close(self.end)
        self.end = -1


async def ended(started: Started) -> Exit:
    """How it ended, once it has."""
    future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    started.on_exit(lambda how: None if future.done() else future.set_result(how))
    return await asyncio.wait_for(future, DEADLINE)


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds, which the kernel of the machine brings about in its own time."""
    with anyio.fail_after(DEADLINE):
        while not holds():  # noqa: ASYNC110 - nobody tells it
            await anyio.sleep(0.005)


def members(warden: int) -> list[int]:
    """Every process below a warden."""
    return descendants(warden)


def descriptors() -> int:
    """How many we have."""
    return len(list(Path("/proc/self/fd").iterdir()))


def state(pid: int) -> str:
    """R, S, T, Z and so on; "" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""
