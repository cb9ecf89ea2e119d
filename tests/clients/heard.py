"""What an execution's handlers are told."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.from_thread
from opensandbox.models.execd import ExecutionHandlers
from opensandbox.models.execd_sync import ExecutionHandlersSync

KINDS = ("init", "stdout", "stderr", "result", "error", "execution_complete")
OUTPUT = ("stdout", "stderr")


class Heard:
    """Collects everything that handlers of either variant of the SDK are called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._news = anyio.Event()

    @property
    def kinds(self) -> list[str]:
        """The kinds of the calls, in order; pieces of one output count once, for how a kernel cuts it is its affair."""
        found: list[str] = []
        for kind, _ in self.calls:
            if not (kind in OUTPUT and found[-1:] == [kind]):
                found.append(kind)
        return found

    def all(self, kind: str) -> list[Any]:
        """What the calls of this kind were given, in order."""
        return [given for each, given in self.calls if each == kind]

    def text(self, kind: str = "stdout") -> str:
        """All text on one of the two streams so far."""
        return "".join(message.text for message in self.all(kind))

    async def first(self, kind: str) -> Any:
        """What the first call of this kind was given, as soon as there is one."""
        await self._until(lambda: bool(self.all(kind)))
        return self.all(kind)[0]

    async def says(self, text: str) -> None:
        """Return once this is on stdout, in however many pieces it came."""
        await self._until(lambda: text in self.text())

    def handlers(self) -> ExecutionHandlers:
        """Handlers for the async variant."""
        return ExecutionHandlers(**{f"on_{kind}": partial(self._note_soon, kind) for kind in KINDS})

    def handlers_sync(self) -> ExecutionHandlersSync:
        """Handlers for the sync variant, to be called in a worker thread of anyio."""
        return ExecutionHandlersSync(**{f"on_{kind}": partial(self._note_from_thread, kind) for kind in KINDS})

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    async def _note_soon(self, kind: str, given: Any) -> None:
        self._note(kind, given)

    def _note_from_thread(self, kind: str, given: Any) -> None:
        anyio.from_thread.run_sync(self._note, kind, given)

    def _note(self, kind: str, given: Any) -> None:
        self.calls.append((kind, given))
        self._news.set()
        self._news = anyio.Event()
