"""All executions that can be fetched, and the retention that bounds them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from execd.errors import ExecutionNotFound
from execd.events import Status
from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import Execution, Origin
from execd.service.journal import Journal, now_ms
from execd.service.meters import Meters
from execd.service.spool import Spool
from execd.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the past is kept: a number of executions, an age in seconds, a size of journals in bytes."""

    count: int
    age: float
    size: int


def oldest_goes(count: int, size: int, oldest_end: int, retention: Retention, now: int) -> bool:
    """Whether the execution that ended first must go, `count` ended ones with `size` bytes of journals being there.

    `oldest_end` and `now` are Unix ms. One that is too large alone stays until the next one ends.
    """
    too_old = now - oldest_end > retention.age * 1000
    return too_old or count > retention.count or (size > retention.size and count > 1)


class Executions:
    """The executions of this service by id, and the folder of their journals. What a sandbox sees of them: `of`."""

    def __init__(self, settings: Settings, folder: Path, meters: Meters) -> None:
        self._settings = settings
        self._folder = folder
        self._meters = meters
        self._retention = Retention(
            settings.keep_executions, settings.keep_executions_age, settings.keep_executions_size
        )
        self._all: OrderedDict[str, Execution] = OrderedDict()
        self._ended: OrderedDict[str, Execution] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._ended_size = 0
        self._last_ends: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of(self, sandbox_id: str) -> SandboxExecutions:
        """The executions of one sandbox; no other exists for it."""
        return SandboxExecutions(self, sandbox_id)

    def forget(self, sandbox_id: str) -> None:
        """Remove the records of a sandbox that is no more. Its executions have ended."""
        for execution in [found for found in self._ended.values() if found.sandbox_id == sandbox_id]:
            self._remove(execution, "its sandbox was deleted")
        self._last_ends.pop(sandbox_id, None)

    def last_end(self, sandbox_id: str) -> int:
        """When an execution of this sandbox has ended last, in Unix ms; 0 for never."""
        return self._last_ends.get(sandbox_id, 0)

    def new(self, request: ExecuteRequest, origin: Origin) -> Execution:
        """A queued execution, recorded."""
        settings = self._settings
        budget = OutputBudget(settings.output_budget, settings.output_tail, settings.rich_output_budget)
        journal = Journal(Spool(self._folder / origin.execution_id))
        execution = Execution(origin, request, journal, budget, self._note_end)
        self._all[execution.id] = execution
        log.info("execution_queued", execution_id=execution.id, context_id=execution.context_id)
        return execution

    def get(self, execution_id: str) -> Execution:
        """The execution with this id. Raises ExecutionNotFound."""
        self.prune()
        try:
            return self._all[execution_id]
        except KeyError:
            raise ExecutionNotFound(execution_id) from None

    def has(self, execution_id: str) -> bool:
        """Whether this execution's record is still kept."""
        return execution_id in self._all

    def newest_first(self, context_id: str | None = None, status: Status | None = None) -> Iterator[Execution]:
        """The executions, optionally of one context or in one status."""
        self.prune()
        for execution in reversed(self._all.values()):
            if context_id in (None, execution.context_id) and status in (None, execution.status):
                yield execution

    def prune(self) -> None:
        """Remove what the retention does not keep."""
        while self._ended:
            oldest = next(iter(self._ended.values()))
            finished_at = oldest.finished_at or 0
            if not oldest_goes(len(self._ended), self._ended_size, finished_at, self._retention, now_ms()):
                return
            self._remove(oldest, "retention")

    def _note_end(self, execution: Execution) -> None:
        reason = execution.complete.reason if execution.complete else None
        log.info("execution_ended", execution_id=execution.id, status=execution.status.value, reason=reason)
        kind = "command" if execution.context_id is None else "code"
        self._meters.execution_ended(kind, execution.language, execution.status.value)
        self._ended[execution.id] = execution
        self._last_ends[execution.sandbox_id] = execution.finished_at or now_ms()
        # Late output may follow: what is taken off again must be what was added.
        size = self._sizes[execution.id] = execution.journal.size
        self._ended_size += size
        self.prune()

    def _remove(self, execution: Execution, why: str) -> None:
        del self._all[execution.id], self._ended[execution.id]
        self._ended_size -= self._sizes.pop(execution.id)
        execution.journal.remove()
        log.info("execution_removed", execution_id=execution.id, why=why)


class SandboxExecutions:
    """The executions of one sandbox, in the store of all."""

    def __init__(self, store: Executions, sandbox_id: str) -> None:
        self._store = store
        self._sandbox_id = sandbox_id

    def new(self, request: ExecuteRequest, origin: Origin) -> Execution:
        """A queued execution of this sandbox, recorded."""
        return self._store.new(request, replace(origin, sandbox_id=self._sandbox_id))

    def get(self, execution_id: str) -> Execution:
        """The execution with this id. Raises ExecutionNotFound."""
        found = self._store.get(execution_id)
        if found.sandbox_id != self._sandbox_id:
            raise ExecutionNotFound(execution_id)
        return found

    def has(self, execution_id: str) -> bool:
        """Whether this execution's record is still kept."""
        return self._store.has(execution_id) and self._store.get(execution_id).sandbox_id == self._sandbox_id

    def newest_first(self, context_id: str | None = None, status: Status | None = None) -> Iterator[Execution]:
        """The executions, optionally of one context or in one status."""
        found = self._store.newest_first(context_id, status)
        return (execution for execution in found if execution.sandbox_id == self._sandbox_id)

    def last_end(self) -> int:
        """When one of them has ended last, in Unix ms; 0 for never."""
        return self._store.last_end(self._sandbox_id)
