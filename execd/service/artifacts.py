"""The artifacts of all runs: kept, found, opened, deleted, and removed when their time is over.

What there is to say of an artifact is in the store, its content among the blobs. A row is added after its content is
there, and content is removed after no row refers to it; blobs that are on their way are held meanwhile. Whatever is
left over by a sudden end is removed at the next start.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import anyio
import structlog
from anyio import to_thread
from sqlalchemy import Connection

from execd.errors import ArtifactNotFound, StorageFull
from execd.service.basket import ArtifactLimits
from execd.service.downloads import OpenFile
from execd.service.journal import now_ms
from execd.settings import Settings
from execd.store import artifacts as rows
from execd.store.artifacts import ArtifactRow, WantedArtifacts
from execd.store.blobs import Blobs
from execd.store.pages import cut
from execd.store.store import Store

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 5.0
_PRUNE_SECONDS = 60.0
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    """Some artifacts, the newest first; the next page begins `before` this number, None on the last."""

    items: list[ArtifactRow]
    before: int | None


class Artifacts:
    """Every artifact by id. Where nothing can be kept or read, its methods raise StorageFull."""

    def __init__(self, store: Store, blobs: Blobs, settings: Settings) -> None:
        self.blobs = blobs
        self.limits = ArtifactLimits(
            settings.run_artifacts,
            settings.artifact_size,
            settings.run_artifacts_size,
            settings.run_artifacts_time,
        )
        self.threads = anyio.CapacityLimiter(_MOST_THREADS)
        """Where contents are copied: what many runs have made at once holds nobody else up."""
        self._store = store
        self._age_ms = int(settings.keep_executions_age * 1000)
        self._keep_size = settings.keep_artifacts_size
        self._news = anyio.Event()

    def expiry(self, now: int) -> int:
        """Until when one is kept that is made now, at most: no longer than the record of its run. Unix ms."""
        return now + self._age_ms

    async def add(self, made: Sequence[ArtifactRow]) -> None:
        """Keep these, whose blobs are held. They are there when this returns."""
        await self._store.write(lambda connection: rows.add(connection, made))
        self._news.set()

    async def page(self, wanted: WantedArtifacts, limit: int, before: int | None = None) -> ArtifactPage:
        """At most `limit` of them, the newest first, from before a number on."""
        now = now_ms()
        found = await self._store.read(lambda connection: rows.page(connection, wanted, now, limit + 1, before))
        return ArtifactPage(*cut(found, limit))

    async def get(self, artifact_id: str) -> ArtifactRow:
        """The artifact with this id. Raises ArtifactNotFound."""
        now = now_ms()
        found = await self._store.read(lambda connection: rows.get(connection, artifact_id, now))
        if found is None:
            raise ArtifactNotFound(artifact_id)
        return found

    async def open(self, row: ArtifactRow) -> OpenFile:
        """Its content, to be closed. Raises ArtifactNotFound where that has just gone."""
        try:
            return await to_thread.run_sync(self._open, row)
        except FileNotFoundError:
            raise ArtifactNotFound(row.id) from None

    async def delete(self, artifact_id: str) -> None:
        """Remove an artifact, and its content if no other has the same. Nothing if there is none."""
        await self._discard(await self._store.write(lambda connection: rows.remove(connection, [artifact_id])))

    async def stored_bytes(self, tenant: str) -> int:
        """How much a tenant's artifacts take; content that occurs twice counts once."""
        return await self._store.read(lambda connection: rows.stored_bytes(connection, tenant))

    async def prune(self) -> None:
        """Remove those whose time is over, whose execution is gone, and what a tenant has too much of."""
        gone = await self._store.read(partial(self._too_many, now_ms()))
        if gone:
            hashes = await self._store.write(lambda connection: rows.remove(connection, gone))
            log.info("artifacts_removed", count=len(gone))
            await self._discard(hashes)

    async def settle(self) -> None:
        """Remove content that nothing refers to: what a sudden end has left. To be called once, at the start."""
        hashes = await to_thread.run_sync(self.blobs.hashes)
        await self._discard(await self._store.read(lambda connection: rows.unreferenced(connection, hashes)))

    async def retain(self) -> None:
        """Settle, then prune now and again, for ever."""
        structlog.contextvars.clear_contextvars()
        await self._trying(self.settle)
        while True:
            self._news = anyio.Event()
            await self._trying(self.prune)
            await anyio.sleep(_PAUSE_SECONDS)
            with anyio.move_on_after(_PRUNE_SECONDS):
                await self._news.wait()

    def let_go(self, hashes: Iterable[str]) -> None:
        """Hold these blobs no longer."""
        for sha256 in hashes:
            self.blobs.release(sha256)

    async def discard(self, hashes: Collection[str]) -> None:
        """Remove those of these contents that nothing refers to, and nobody holds. Where that cannot be, they stay
        until the next start."""
        await self._trying(partial(self._discard, hashes))

    async def _discard(self, hashes: Collection[str]) -> None:
        if hashes:
            await self._store.write(partial(self._dropped, hashes))

    def _dropped(self, hashes: Collection[str], connection: Connection) -> int:
        # In the thread of all writes: no row can be added between the look and the removal.
        return self.blobs.remove(rows.unreferenced(connection, hashes))

    def _too_many(self, now: int, connection: Connection) -> list[str]:
        gone = rows.outlived(connection, now)
        for tenant in rows.tenants(connection):
            if rows.stored_bytes(connection, tenant) > self._keep_size:
                gone += rows.beyond(connection, tenant, self._keep_size)
        return gone

    def _open(self, row: ArtifactRow) -> OpenFile:
        fd = self.blobs.open(row.sha256)
        try:
            opened = OpenFile(fd, PurePath(row.name))
        except BaseException:
            os.close(fd)
            raise
        opened.etag = f'"{row.sha256}"'
        return opened

    async def _trying(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (StorageFull, OSError) as error:
            log.warning("artifacts_not_removed", why=str(error))
