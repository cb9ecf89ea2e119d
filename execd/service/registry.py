"""The registry: what is kept in the store of sandboxes and contexts, so that the next service finds them again.

Who changes one says so by `note`, and it is kept within a moment; who must not go on before it is kept waits for
`flush`. What is kept is how it is when it is written, however often it has changed since it was noted.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import structlog
from sqlalchemy import Connection

from execd.errors import StorageFull
from execd.store.store import Store

log = structlog.get_logger(__name__)

SOON_SECONDS = 0.025
RETRY_SECONDS = 1.0

Write = Callable[[Connection], object]
Look = Callable[[], Write]
"""Looks at how something is now; what it returns writes that down, in a thread."""


@asynccontextmanager
async def registering(store: Store) -> AsyncIterator[Registry]:
    """A registry that works while the block runs, and has kept everything at its end."""
    registry = Registry(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(registry.run)
        try:
            yield registry
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await registry.flush()
                except StorageFull as error:
                    log.warning("sandboxes_not_kept", why=str(error))
            tasks.cancel_scope.cancel()


class Registry:
    """Keeps what is noted, each thing by a name of its own. `run` does it, as a task of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._noted: dict[str, Look] = {}
        self._due = math.inf
        self._sooner = anyio.Event()
        self._turn = anyio.Lock()

    @property
    def node(self) -> str:
        """Whose rows these are."""
        return self.store.node

    def note(self, name: str, look: Look, within: float = SOON_SECONDS) -> None:
        """This has changed, and is to be kept within so many seconds."""
        self._noted[name] = look
        self._be_due(within)

    async def flush(self) -> None:
        """Keep all that is noted; returns when that is committed. Raises StorageFull; then it is still noted."""
        async with self._turn:
            noted, self._noted = self._noted, {}
            if noted:
                await self._write(noted)

    async def run(self) -> None:
        """Keep what is noted, until cancelled."""
        structlog.contextvars.clear_contextvars()
        while True:
            await self._time_has_come()
            try:
                await self.flush()
            except StorageFull as error:
                log.warning("sandboxes_not_kept", why=str(error))
                await anyio.sleep(RETRY_SECONDS)

    def _be_due(self, within: float) -> None:
        due = anyio.current_time() + within
        if due < self._due:
            self._due = due
            self._sooner.set()

    async def _time_has_come(self) -> None:
        while (pause := self._due - anyio.current_time()) > 0:
            self._sooner = anyio.Event()
            with anyio.move_on_after(pause):
                await self._sooner.wait()
        self._due = math.inf

    async def _write(self, noted: dict[str, Look]) -> None:
        writes = [look() for look in noted.values()]

        def work(connection: Connection) -> None:
            for write in writes:
                write(connection)

        try:
            with anyio.CancelScope(shield=True):
                await self.store.write(work)
        except StorageFull:
            self._noted = {**noted, **self._noted}
            self._be_due(0)
            raise
