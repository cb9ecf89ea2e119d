"""All executions that can be fetched: those that live in memory, the others in the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
import structlog
from sqlalchemy import Connection

from execd.errors import ExecutionNotFound, StorageFull
from execd.events import Complete, Reason, ServiceRestarted, Status, StatusChanged
from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import DEFAULT_TENANT, SERVICE_GONE, Execution, Origin
from execd.service.journal import Journal, now_ms
from execd.service.meters import Meters
from execd.service.quotas import check_count
from execd.service.recorder import ExecutionShelf, Recorder
from execd.service.rendering import Renderings
from execd.service.rows import origin_of, request_of, restored_of
from execd.settings import Settings
from execd.store import executions as rows
from execd.store.executions import ExecutionRow, Keep, Removed, Wanted
from execd.store.pages import cut
from execd.store.store import Store

log = structlog.get_logger(__name__)

_PRUNE_PAUSE_SECONDS = 5.0
_PRUNE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Page:
    """Some executions, the newest first; the next page begins `before` this number, None on the last."""

    items: list[Execution]
    before: int | None


class Executions:
    """The executions of this service by id. What a sandbox sees of them: `of`."""

    def __init__(
        self, settings: Settings, recorder: Recorder, meters: Meters, renderings: Renderings | None = None
    ) -> None:
        self.renderings = renderings or Renderings()
        """How executions are shown to webhooks."""
        self._settings = settings
        self._recorder = recorder
        self._meters = meters
        self._living: dict[str, Execution] = {}
        self._news = anyio.Event()
        recorder.end_kept = self._let_go
        self._last_ends: dict[str, int] = {}

    def __len__(self) -> int:
        """How many have not ended."""
        return len(self._living)

    def of(self, sandbox_id: str, tenant: str = DEFAULT_TENANT) -> SandboxExecutions:
        """The executions of one sandbox; no other exists for it."""
        return SandboxExecutions(self, sandbox_id, tenant)

    def forget(self, sandbox_id: str) -> None:
        """A sandbox is no more. The records of what ran in it stay, as long as the retention keeps them."""
        self._last_ends.pop(sandbox_id, None)

    def last_end(self, sandbox_id: str) -> int:
        """When an execution of this sandbox has ended last, in Unix ms; 0 for never."""
        return self._last_ends.get(sandbox_id, 0)

    async def new(self, request: ExecuteRequest, origin: Origin) -> Execution:
        """A queued execution, recorded: it outlives the service from now on. Raises QuotaExceeded, StorageFull."""
        await self._recorder.quotas.check_budgets()
        check_count("executions", self._count)
        shelf = ExecutionShelf(self._recorder, origin.execution_id)
        execution = Execution.new(origin, request, Journal(shelf), self._budget(), self._note_end)
        execution.portray = self.renderings.standing
        self._living[execution.id] = execution
        try:
            await self._recorder.add(execution)
        except BaseException:
            del self._living[execution.id]
            raise
        shelf.execution = execution
        log.info("execution_queued", execution_id=execution.id, context_id=execution.context_id)
        return execution

    async def get(self, execution_id: str) -> Execution:
        """The execution with this id; if it has ended, that is kept. Raises ExecutionNotFound, StorageFull."""
        if execution_id in self._living:
            execution = self._living[execution_id]
            if execution.journal.ended:
                await execution.ended.wait()
            return execution
        row = await self._recorder.store.read(lambda connection: rows.get(connection, execution_id))
        if row is None or self._too_old(row):
            raise ExecutionNotFound(execution_id)
        return self._restored(row)

    async def by_key(self, tenant: str, sandbox_id: str, key: str) -> Execution | None:
        """The execution that was made with this idempotency key."""
        row = await self._recorder.store.read(lambda connection: rows.by_key(connection, tenant, sandbox_id, key))
        return None if row is None else self._living.get(row.id) or self._restored(row)

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        """At most `limit` of them, the newest first, from `before` a number on. Raises StorageFull."""
        await self.keep()

        def work(connection: Connection) -> list[ExecutionRow]:
            return rows.page(connection, wanted, limit + 1, before)

        found, more = cut(await self._recorder.store.read(work), limit)
        kept = [row for row in found if not self._too_old(row)]
        return Page([self._living.get(row.id) or self._restored(row) for row in kept], more)

    def under_way(self, tenant: str, dialect: str) -> list[Execution]:
        """A tenant's executions of an API that have not come to their end."""
        return [
            execution
            for execution in self._living.values()
            if (execution.origin.tenant, execution.origin.dialect) == (tenant, dialect) and not execution.journal.ended
        ]

    def when_announced(self, call: Callable[[], None]) -> None:
        """Call this whenever something that webhooks are to be told is kept."""
        self._recorder.announced = call

    async def check(self) -> None:
        """Raise StorageFull unless the store takes things now."""
        await self.keep()
        await self._recorder.store.write(rows.check)

    async def keep(self) -> None:
        """Return when all that has happened so far is kept. Raises StorageFull."""
        await self._recorder.flush()

    @property
    def store(self) -> Store:
        """Where they are kept."""
        return self._recorder.store

    async def select(self, query: Callable[[Connection], list[ExecutionRow]]) -> list[Execution]:
        """Those that a query finds, and the retention still has. Raises StorageFull."""
        await self._recorder.flush()
        found = await self._recorder.store.read(query)
        return [self._living.get(row.id) or self._restored(row) for row in found if not self._too_old(row)]

    async def prune(self) -> None:
        """Remove what the retention does not keep, and say what that was. Raises StorageFull."""
        settings = self._settings
        keep = Keep(settings.keep_executions, int(settings.keep_executions_age * 1000), settings.keep_executions_size)
        now = now_ms()

        def work(connection: Connection) -> dict[str, Removed]:
            return {tenant: rows.prune(connection, tenant, keep, now) for tenant in rows.tenants_of_ended(connection)}

        for tenant, removed in (await self._recorder.store.write(work)).items():
            if removed.ids:
                log.info("executions_removed", tenant=tenant, count=len(removed.ids), bytes=removed.size)
                self._meters.executions_removed(len(removed.ids), removed.size)

    async def retain(self) -> None:
        """Prune now, and again when something has ended, for ever."""
        structlog.contextvars.clear_contextvars()
        while True:
            self._news = anyio.Event()
            try:
                await self.prune()
            except StorageFull as error:
                log.warning("executions_not_removed", why=str(error))
            await anyio.sleep(_PRUNE_PAUSE_SECONDS)
            with anyio.move_on_after(_PRUNE_SECONDS):
                await self._news.wait()

    async def unfinished(self) -> list[Execution]:
        """Those that a service before this one has left queued or running, from the oldest on. They live again."""
        left = await self._recorder.store.read(
            lambda connection: rows.unfinished(connection, self._recorder.store.node)
        )
        return [await self._revived(row) for row in left]

    def abandon(self, execution: Execution) -> None:
        """End one that was left, and of whose end nobody knows."""
        if execution.cancel_requested_at is not None:
            execution.finish(Complete(Status.CANCELLED, duration_ms=execution.elapsed_ms()))
            return
        execution.emit(StatusChanged("error"))
        execution.emit(SERVICE_GONE)
        execution.finish(Complete(Status.FAILED, Reason.SERVICE_RESTARTED, duration_ms=execution.elapsed_ms()))

    def leave(self) -> None:
        """Let who follows them go on at a later service."""
        for execution in self._living.values():
            execution.journal.leave()

    def _count(self, tenant: str) -> int:
        mine = (execution for execution in self._living.values() if execution.origin.tenant == tenant)
        return sum(not execution.journal.ended for execution in mine)

    def _budget(self) -> OutputBudget:
        settings = self._settings
        return OutputBudget(settings.output_budget, settings.output_tail, settings.rich_output_budget)

    def _restored(self, row: ExecutionRow) -> Execution:
        shelf = ExecutionShelf(self._recorder, row.id)
        journal = Journal.restored(shelf, row.last_seq, row.end_seq, row.size, row.reserved_seq)
        execution = Execution(origin_of(row), request_of(row), journal, self._budget(), self._note_end)
        execution.portray = self.renderings.standing
        execution.restore(restored_of(row))
        shelf.execution = execution
        return execution

    async def _revived(self, row: ExecutionRow) -> Execution:
        execution = self._living[row.id] = self._restored(row)
        if execution.request.allow_stdin:
            last = await self._recorder.read(row.id, row.last_seq - 1, 1)
            execution.awaiting_input = bool(last.records) and last.records[0].startswith(b'{"type":"input_request",')
        execution.journal.append(ServiceRestarted(row.last_seq))
        return execution

    def _too_old(self, row: ExecutionRow) -> bool:
        oldest = now_ms() - self._settings.keep_executions_age * 1000
        return row.finished_at is not None and row.finished_at < oldest

    def _note_end(self, execution: Execution) -> None:
        reason = execution.complete.reason if execution.complete else None
        log.info("execution_ended", execution_id=execution.id, status=execution.status.value, reason=reason)
        kind = "command" if execution.context_id is None else "code"
        self._meters.execution_ended(kind, execution.language, execution.status.value)
        self._last_ends[execution.sandbox_id] = execution.finished_at or now_ms()
        if execution.complete is not None and execution.complete.cpu_seconds:
            self._recorder.quotas.charge(execution.origin.tenant, execution.complete.cpu_seconds)

    def _let_go(self, execution: Execution) -> None:
        # The store has all of it now.
        self._living.pop(execution.id, None)
        self._news.set()


class SandboxExecutions:
    """The executions of one sandbox, in the store of all."""

    def __init__(self, store: Executions, sandbox_id: str, tenant: str) -> None:
        self._store = store
        self._sandbox_id = sandbox_id
        self._tenant = tenant

    async def new(self, request: ExecuteRequest, origin: Origin) -> Execution:
        """A queued execution of this sandbox, recorded. Raises StorageFull."""
        return await self._store.new(request, replace(origin, sandbox_id=self._sandbox_id, tenant=self._tenant))

    async def get(self, execution_id: str) -> Execution:
        """The execution with this id. Raises ExecutionNotFound, StorageFull."""
        found = await self._store.get(execution_id)
        if found.sandbox_id != self._sandbox_id or found.origin.tenant != self._tenant:
            raise ExecutionNotFound(execution_id)
        return found

    async def by_key(self, key: str) -> Execution | None:
        """The execution that was made with this idempotency key."""
        return await self._store.by_key(self._tenant, self._sandbox_id, key)

    async def page(self, wanted: Wanted, limit: int, before: int | None = None) -> Page:
        """Some of them, as `Executions.page` has it."""
        return await self._store.page(replace(wanted, sandbox_id=self._sandbox_id, tenant=self._tenant), limit, before)

    async def keep(self) -> None:
        """Return when all that has happened so far is kept. Raises StorageFull."""
        await self._store.keep()

    def last_end(self) -> int:
        """When one of them has ended last, in Unix ms; 0 for never."""
        return self._store.last_end(self._sandbox_id)
