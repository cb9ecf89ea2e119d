"""The input of a command: a pipe that clients write to, and close."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import anyio

from execd.errors import InputClosed
from execd.waiting import Occasion, first_of


class InputPipe:
    """A pipe to a command that has not started yet. `theirs` is the command's end, which `started` closes here; what
    else must be done for its input to end, `on_close` does."""

    def __init__(self, adopted: int | None = None) -> None:
        """`adopted` is the end of a pipe to a command that an earlier service has started. Raises OSError when there
        are no more descriptors."""
        self.theirs, self._fd = os.pipe() if adopted is None else (-1, adopted)
        os.set_blocking(self._fd, False)
        self.on_close: Callable[[], None] = lambda: None
        self._turn = anyio.Lock()
        self._closed = Occasion()

    @property
    def ours(self) -> int:
        """The end that is written to; -1 once it is closed."""
        return self._fd

    def started(self) -> None:
        """The command has its end by now, or never will. Safe to call twice."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    async def write(self, data: bytes) -> None:
        """Write everything; waits while the command does not read. Raises InputClosed when it never will."""
        async with self._turn:
            left = memoryview(data)
            while left:
                left = left[await self._write_some(left) :]

    def close(self) -> None:
        """The end of the input. Safe to call twice."""
        self.started()
        if self._fd >= 0:
            asyncio.get_running_loop().remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._closed.set()
            self.on_close()

    async def _write_some(self, data: memoryview) -> int:
        while True:
            if self._fd < 0:
                raise InputClosed("it was closed")
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                await self._writable()
            except OSError as error:
                raise InputClosed(error.strerror or str(error)) from error

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = Occasion()
        loop.add_writer(self._fd, ready.set)
        try:
            await first_of(ready, self._closed)
        finally:
            if self._fd >= 0:
                loop.remove_writer(self._fd)
