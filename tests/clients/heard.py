"""What an execution's handlers are told."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import anyio.from_thread
from opensandbox.models.execd import ExecutionHandlers
from opensandbox.models.execd_sync import ExecutionHandlersSync

KINDS = ("init", "stdout", "stderr", "result", "error", "execution_complete")


class Heard:
    """Collects everything that handlers of either variant of the SDK are called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._heard = {kind: anyio.Event() for kind in KINDS}

    @property
    def kinds(self) -> list[str]:
        """The kinds of the calls, in order."""
        return [kind for kind, _ in self.calls]

    async def first(self, kind: str) -> Any:
        """What the first call of this kind was given, as soon as there is one."""
        await self._heard[kind].wait()
        return next(given for each, given in self.calls if each == kind)

    def handlers(self) -> ExecutionHandlers:
        """Handlers for the async variant."""
        return ExecutionHandlers(**{f"on_{kind}": partial(self._note_soon, kind) for kind in KINDS})

    def handlers_sync(self) -> ExecutionHandlersSync:
        """Handlers for the sync variant, to be called in a worker thread of anyio."""
        return ExecutionHandlersSync(**{f"on_{kind}": partial(self._note_from_thread, kind) for kind in KINDS})

    async def _note_soon(self, kind: str, given: Any) -> None:
        self._note(kind, given)

    def _note_from_thread(self, kind: str, given: Any) -> None:
        anyio.from_thread.run_sync(self._note, kind, given)

    def _note(self, kind: str, given: Any) -> None:
        self.calls.append((kind, given))
        self._heard[kind].set()
