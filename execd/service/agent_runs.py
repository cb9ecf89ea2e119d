"""Runs of agents: started, found, cancelled, decided on, and gone on with after another service.

start ──▶ recorded ──▶ awaiting approval? ──▶ a context in a sandbox ──▶ runs ◀──▶ awaiting approval ──▶ ended
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.abc
import structlog
from sqlalchemy import Connection

from execd.errors import ExecdError, ExecutionNotFound, StorageFull
from execd.events import Complete, Error, Reason, Status
from execd.identifiers import new_id
from execd.kernel.kernelspec import Kernelspecs
from execd.service.agent import AGENT_RUN, Version
from execd.service.agent_run import AgentRun, Means
from execd.service.approvals import Verdict
from execd.service.execution import Execution, Origin
from execd.service.schema import check_fits
from execd.store import agent_runs as rows
from execd.store.agent_runs import AgentRunRow, WantedRuns
from execd.store.executions import ExecutionRow
from execd.waiting import first_of

log = structlog.get_logger(__name__)

DIALECT = "promptrails"
NOWHERE = ""
"""The sandbox of a run that has not been placed yet."""

MOST_CHILDREN = 1000


@dataclass(frozen=True, slots=True)
class Call:
    """What an agent is run with, and what is kept of that."""

    given: Mapping[str, Any]
    session_id: str = ""
    user_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None
    webhook_url: str | None = None


class AgentRuns:
    """The runs of a service's agents. Their tasks belong to `tasks`."""

    def __init__(self, kernelspecs: Kernelspecs, means: Means, tasks: anyio.abc.TaskGroup) -> None:
        self._kernelspecs = kernelspecs
        self._means = means
        self._tasks = tasks
        self._left: dict[str, AgentRun] = {}

    async def start(self, tenant: str, version: Version, call: Call) -> Execution:
        """A recorded run of this version. Raises InvalidRequest for an input that does not fit, ExecutionNotFound for a
        parent, UnknownLanguage, QuotaExceeded, StorageFull."""
        if version.input_schema:
            check_fits(dict(call.given), version.input_schema, "input")
        if call.parent_id is not None:
            await self.get(tenant, call.parent_id)
        language = version.config.language
        request = version.config.request(self._kernelspecs.get(language), call.given)
        detail = _detail(version, call)
        origin = Origin(new_id("run"), None, language, NOWHERE, tenant, DIALECT, detail, webhook_url=call.webhook_url)
        row = AgentRunRow(origin.execution_id, version.agent_id, call.session_id, call.parent_id)
        execution = await self._means.executions.new(request, origin)
        try:
            await self._means.executions.store.write(partial(rows.add, row=row))
        except StorageFull as error:
            execution.fail(Reason.SANDBOX_LOST, Error("StorageFull", str(error)))
            raise
        self._tasks.start_soon(AgentRun(execution, self._means).carry_out)
        return execution

    async def adopt(self, execution: Execution) -> bool:
        """Take over a run that an earlier service has left, before anything else hears of it. Whether it has no place
        yet: then nobody else has it. Nothing is done before `go_on`. Raises StorageFull."""
        if execution.origin.dialect != DIALECT:
            return False
        run = self._left[execution.id] = AgentRun(execution, self._means)
        await run.recall()
        return execution.context_id is None

    async def go_on(self) -> None:
        """Go on with all that was adopted, and clear away what is left of others. Raises StorageFull."""
        left, self._left = self._left, {}
        for run in left.values():
            self._tasks.start_soon(run.carry_out)
        for record in self._means.rooms.records():
            run_id = record.wanted.dialect.get(AGENT_RUN)
            if run_id is not None and (run_id not in left or left[run_id].execution.sandbox_id != record.id):
                self._tasks.start_soon(self._remove, record.id)
        await self._means.approvals.withdraw_left()

    async def get(self, tenant: str, execution_id: str) -> Execution:
        """The run with this id. Raises ExecutionNotFound."""
        execution = await self._means.executions.get(execution_id)
        if execution.origin.dialect != DIALECT or execution.origin.tenant != tenant:
            raise ExecutionNotFound(execution_id)
        return execution

    async def page(self, wanted: WantedRuns, offset: int, limit: int) -> tuple[list[Execution], int]:
        """Runs, the newest first, and how many there are."""
        total = 0

        def work(connection: Connection) -> list[ExecutionRow]:
            nonlocal total
            found, total = rows.listed(connection, wanted, offset, limit)
            return found

        return await self._means.executions.select(work), total

    async def children(self, tenant: str, parents: list[Execution]) -> list[Execution]:
        """The runs that have one of these for their parent."""
        ids = [parent.id for parent in parents]
        query = partial(rows.children, tenant=tenant, parent_ids=ids, most=MOST_CHILDREN)
        return await self._means.executions.select(query) if ids else []

    async def settled(self, execution: Execution, seconds: float) -> None:
        """Return when it has ended or waits for an approval, or after so many seconds; 0 is for ever."""
        with anyio.move_on_after(seconds or None):
            await first_of(execution.ended, execution.parked)
        if execution.status is Status.AWAITING_APPROVAL:
            # Whoever is told that it waits must find it waiting, whatever becomes of this service.
            await self._means.executions.keep()

    async def cancel(self, execution: Execution) -> None:
        """Ask for its end; what has not started has ended when this returns."""
        execution.cancel()
        if execution.started_at is None and not execution.journal.ended:
            execution.finish(Complete(Status.CANCELLED))
            await execution.ended.wait()

    async def decide(self, execution: Execution, verdict: Verdict) -> None:
        """Approve or reject what it waits for. Raises NotAwaitingApproval, AlreadyDecided."""
        row = await self._means.approvals.pending(execution.id)
        await self._means.approvals.decide(execution.origin.tenant, row.id, verdict)

    async def _remove(self, sandbox_id: str) -> None:
        with contextlib.suppress(ExecdError):
            await self._means.rooms.delete(sandbox_id)


def _detail(version: Version, call: Call) -> dict[str, Any]:
    config = version.config.as_json
    return {
        "agent_id": version.agent_id,
        "agent_version_id": version.id,
        "config": {name: value for name, value in config.items() if name not in ("code", "metadata")},
        "session_id": call.session_id,
        "user_id": call.user_id,
        "metadata": {**version.config.metadata, **call.metadata},
        "parent_execution_id": call.parent_id,
    }
