"""Things that happen once, and waiting for whichever of several comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import anyio.lowlevel


class Occasion(asyncio.Event):
    """An event that can be waited for, as any other, and that can also call who cannot wait: a task for each of the
    things that may end a run would cost as much as the run does."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []

    def set(self) -> None:
        """It has happened. Whoever waits goes on in the loop's next turn; calls are made now, once."""
        if self.is_set():
            return
        super().set()
        for call in tuple(self._calls):
            call()

    async def wait(self) -> Literal[True]:
        """Return once it has happened, and never without having let others run."""
        if self.is_set():
            await anyio.lowlevel.checkpoint()
            return True
        return await super().wait()

    @contextmanager
    def telling(self, call: Callable[[], None]) -> Iterator[None]:
        """While the block runs, call this when it happens; at once, if it has."""
        if self.is_set():
            call()
            yield
            return
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)


async def first_of(*occasions: Occasion) -> None:
    """Return as soon as one of them has happened."""
    happened = Occasion()
    with ExitStack() as stack:
        for occasion in occasions:
            stack.enter_context(occasion.telling(happened.set))
        await happened.wait()
