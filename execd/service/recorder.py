"""The recorder: brings what executions do to the store, in batches of at most 50 ms.

An end is brought at once, with whatever else there is; a beginning before anything else happens. What cannot be
brought stays in memory and is tried again, until it can or the service ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import structlog
from sqlalchemy import Connection

from execd.errors import StorageFull
from execd.service.announcing import News, announce
from execd.service.execution import Execution
from execd.service.journal import Slice
from execd.service.quotas import Day, Quotas, keep
from execd.service.rows import changing, new_row
from execd.store import executions, journals
from execd.store.journals import Batch
from execd.store.store import Store

log = structlog.get_logger(__name__)

DELAY_SECONDS = 0.025
RETRY_SECONDS = 1.0


@asynccontextmanager
async def recording(store: Store) -> AsyncIterator[Recorder]:
    """A recorder that works while the block runs, and has brought everything at its end."""
    recorder = Recorder(store)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(recorder.run)
        try:
            yield recorder
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await recorder.flush()
                except StorageFull as error:
                    log.warning("journals_lost", why=str(error))
            tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class _Change:
    """What is to be kept of one execution: its new records, and the columns that are not as they were."""

    execution: Execution
    records: Slice
    columns: Mapping[str, Any]
    last_seq: int
    ended: bool
    news: News | None


@dataclass(frozen=True, slots=True)
class _Load:
    """What is brought in one transaction: changes of executions, and the CPU time that their ends are charged with."""

    changes: list[_Change]
    spent: Counter[Day]


class ExecutionShelf:
    """The part of the store that one execution's journal has."""

    def __init__(self, recorder: Recorder, execution_id: str) -> None:
        self.execution: Execution | None = None
        self._recorder = recorder
        self._id = execution_id

    def note(self) -> None:
        """Something is to be kept."""
        if self.execution is None:
            return
        self._recorder.note(self.execution)
        if self.execution.journal.pressing:
            self._recorder.catch_up()

    async def read(self, after: int, most: int) -> Slice:
        """See `journal.Shelf`."""
        return await self._recorder.read(self._id, after, most)


class Recorder:
    """Brings executions to the store. `run` does it, as a task of its own."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.end_kept: Callable[[Execution], None] = lambda _: None
        """Called when the end of an execution is kept."""
        self.announced: Callable[[], None] = lambda: None
        """Called when there is something new to be delivered to webhooks."""
        self.quotas = Quotas(store)
        self._dirty: dict[str, Execution] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._turn = anyio.Lock()
        self._flying: Future[bool] | None = None

    async def add(self, execution: Execution) -> None:
        """Keep a new execution with its first records; returns when that is committed. Raises StorageFull."""
        row = new_row(execution, self.store.node)
        records = execution.journal.unkept()

        def work(connection: Connection) -> None:
            executions.add(connection, row)
            journals.append(connection, row.id, Batch(records.first, records.records))

        await self.store.write(work)
        self._known[execution.id] = changing(execution)
        execution.journal.kept(records.last)

    def note(self, execution: Execution) -> None:
        """There is something new of it."""
        self._dirty[execution.id] = execution
        self._wake.set()
        if execution.journal.ended:
            self._urgent.set()

    async def run(self) -> None:
        """Bring what is noted, until cancelled."""
        structlog.contextvars.clear_contextvars()
        while True:
            await self._wake.wait()
            with anyio.move_on_after(DELAY_SECONDS):
                await self._urgent.wait()
            try:
                await self.flush()
            except StorageFull as error:
                log.warning("journals_not_kept", why=str(error))
                await anyio.sleep(RETRY_SECONDS)

    async def flush(self) -> None:
        """Bring all that is noted now. Raises StorageFull; then it is still noted."""
        async with self._turn:
            self._wake.clear()
            self._urgent.clear()
            load = self._take()
            if not load.changes:
                return
            self._flying = self._send(load)
            try:
                with anyio.CancelScope(shield=True):
                    to_be_told = await asyncio.wrap_future(self._flying)
            except StorageFull:
                self._missed(load)
                raise
            self._kept(load, to_be_told)

    def catch_up(self) -> None:
        """Bring all that is noted before anything else happens: more comes than would be brought in time, and memory
        is to stay bounded."""
        if self._flying is not None and self._flying.exception() is not None:
            return
        load = self._take()
        try:
            to_be_told = self._send(load).result()
        except StorageFull:
            self._missed(load)
        else:
            self._kept(load, to_be_told)

    async def read(self, execution_id: str, after: int, most: int) -> Slice:
        """Records of an execution, from the store."""
        found = await self.store.read(lambda connection: journals.read(connection, execution_id, after, most))
        if not found:
            return Slice(after + 1, [])
        first, records = found[0].first, list(found[0].records)
        for batch in found[1:]:
            if batch.first != first + len(records):
                break
            records += batch.records
        return Slice(first, records)

    def _take(self) -> _Load:
        dirty, self._dirty = self._dirty, {}
        changes = [self._change(execution) for execution in dirty.values()]
        return _Load(changes, self.quotas.take() if changes else Counter())

    def _send(self, load: _Load) -> Future[bool]:
        return self.store.submit(partial(_keep, load, self.store.node))

    def _change(self, execution: Execution) -> _Change:
        records = execution.journal.unkept()
        now, before = changing(execution), self._known.get(execution.id, {})
        columns = {name: value for name, value in now.items() if name not in before or before[name] != value}
        last_seq, ended = execution.journal.last_seq, execution.journal.ended
        return _Change(execution, records, columns, last_seq, ended, _news_of(execution))

    def _kept(self, load: _Load, to_be_told: bool) -> None:
        for change in load.changes:
            self._kept_one(change)
        if to_be_told:
            self.announced()

    def _kept_one(self, change: _Change) -> None:
        execution = change.execution
        if change.ended:
            self._known.pop(execution.id, None)
        else:
            self._known.setdefault(execution.id, {}).update(change.columns)
        execution.journal.kept(change.last_seq)
        execution.told()
        if change.ended:
            self.end_kept(execution)

    def _missed(self, load: _Load) -> None:
        self.quotas.put_back(load.spent)
        self._wake.set()
        for change in load.changes:
            execution = change.execution
            if change.news is not None:
                execution.announcements = [*change.news.announcements, *execution.announcements]
            self._dirty.setdefault(execution.id, execution)
            execution.journal.not_kept()
            execution.told()


def _news_of(execution: Execution) -> News | None:
    """What is to be told of it, which it then has no more; None, as nearly always, where that is nothing."""
    if not execution.announcements:
        return None
    told, execution.announcements = tuple(execution.announcements), []
    return News(execution.id, execution.origin.tenant, execution.origin.webhook_url, told)


def _keep(load: _Load, node: str, connection: Connection) -> bool:
    """Returns whether there is something to be delivered to webhooks."""
    keep(connection, load.spent)
    to_be_told = False
    for change in load.changes:
        execution_id = change.execution.id
        if change.columns and not executions.change(connection, execution_id, change.columns):
            # The retention has removed it; this came late.
            continue
        journals.append(connection, execution_id, Batch(change.records.first, change.records.records))
        if change.ended:
            journals.merge(connection, execution_id)
        if change.news is not None:
            to_be_told = announce(connection, change.news, node) or to_be_told
    return to_be_told
