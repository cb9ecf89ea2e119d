"""Letting processes write to no file, from outside."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

import pytest

from execd.isolation.launch import Started
from execd.warden.client import Enclosure
from tests.warden.tools import Cases, Output, ended

SCRIPT = 'trap "" XFSZ; echo on; while read line; do echo x > "$line" && echo written || echo refused; done'


class Lines:
    """A pipe that a process reads from."""

    def __init__(self) -> None:
        self.end, self._write = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self.end)
        os.close(self._write)

    def say(self, line: str) -> None:
        """Let it read a line."""
        os.write(self._write, f"{line}\n".encode())


async def test_nobody_writes_until_they_may_again(enclosure: Enclosure, cases: Cases, tmp_path: Path) -> None:
    with Output() as output, Lines() as lines:
        started = cases.start("sh", "-c", SCRIPT, fds={0: lines.end, 1: output.end})
        assert await output.line() == "on"
        for allowed, said in ((False, "refused"), (False, "refused"), (True, "written")):
            await enclosure.let_write(allowed=allowed)
            lines.say(str(tmp_path / "file"))
            assert await output.line() == said
        assert started.pid in await enclosure.members()


async def test_who_lifts_the_limit_is_killed(enclosure: Enclosure, cases: Cases) -> None:
    started: Started = cases.start("sleep", "1000")
    before = resource.prlimit(started.pid, resource.RLIMIT_FSIZE)
    await enclosure.let_write(allowed=False)
    assert resource.prlimit(started.pid, resource.RLIMIT_FSIZE) == (0, before[1])
    try:
        resource.prlimit(started.pid, resource.RLIMIT_FSIZE, before)
    except PermissionError:
        pytest.skip("we may not do what the process itself may")
    await enclosure.let_write(allowed=False)
    assert (await ended(started)).code == -SIGKILL
