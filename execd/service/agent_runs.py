"""Runs of agents: recorded, approved where that is wanted, placed, seen through to their end.

start ──▶ recorded ──▶ awaiting approval? ──▶ a context in a sandbox ──▶ runs ◀──▶ awaiting approval ──▶ ended
              └── what waits here survives the service: `adopt` goes on with it
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import anyio
import anyio.abc
import structlog
from sqlalchemy import Connection

from execd.errors import ExecdError, ExecutionNotFound, SandboxNotFound
from execd.events import Complete, Error, Reason, Status, StatusChanged
from execd.identifiers import new_id
from execd.kernel.kernelspec import Kernelspecs
from execd.service.agent import AgentConfig, Version
from execd.service.agent_output import Gatherer
from execd.service.approvals import APPROVED, Approvals, Verdict
from execd.service.checkpoints import Checkpoints
from execd.service.context import Context
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.record import SandboxRecord, SandboxRequest
from execd.service.schema import check_fits
from execd.settings import Settings
from execd.store import agent_runs as rows
from execd.store.agent_runs import AgentRunRow, WantedRuns
from execd.store.approvals import PENDING, ApprovalRow
from execd.store.executions import ExecutionRow
from execd.waiting import first_of

log = structlog.get_logger(__name__)

DIALECT = "promptrails"
NOWHERE = ""
"""The sandbox of a run that has not been placed yet."""

MOST_CHILDREN = 1000


class Room(Protocol):
    """What a run needs of a sandbox."""

    @property
    def id(self) -> str:
        """The sandbox's id."""

    @property
    def contexts(self) -> Any:
        """The sandbox's contexts."""


class Rooms(Protocol):
    """What runs need of all sandboxes."""

    def get(self, sandbox_id: str) -> SandboxRecord:
        """What is known about a sandbox."""

    async def create(self, wanted: SandboxRequest, key: str = "") -> SandboxRecord:
        """A new, running sandbox."""

    async def enter(self, sandbox_id: str) -> Room:
        """The running sandbox with this id."""

    async def delete(self, sandbox_id: str) -> SandboxRecord:
        """End a sandbox."""


@dataclass(frozen=True, slots=True)
class Call:
    """What an agent is run with, and what is kept of that."""

    given: Mapping[str, Any]
    session_id: str = ""
    user_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parent_id: str | None = None


class AgentRuns:
    """The runs of a service's agents. Their tasks belong to `tasks`."""

    def __init__(
        self,
        settings: Settings,
        kernelspecs: Kernelspecs,
        executions: Executions,
        rooms: Rooms,
        approvals: Approvals,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self._settings = settings
        self._kernelspecs = kernelspecs
        self._executions = executions
        self._rooms = rooms
        self._approvals = approvals
        self._tasks = tasks

    async def start(self, tenant: str, version: Version, call: Call) -> Execution:
        """A recorded run of this version. Raises InvalidRequest for an input that does not fit, ExecutionNotFound for a
        parent, UnknownLanguage, StorageFull."""
        if version.input_schema:
            check_fits(dict(call.given), version.input_schema, "input")
        if call.parent_id is not None:
            await self.get(tenant, call.parent_id)
        request = version.config.request(self._kernelspecs.get(version.config.language), call.given)
        origin = Origin(
            new_id("run"), None, version.config.language, NOWHERE, tenant, DIALECT, detail=_detail(version, call)
        )
        row = AgentRunRow(origin.execution_id, version.agent_id, call.session_id, call.parent_id)
        await self._executions.store.write(partial(rows.add, row=row))
        execution = await self._executions.new(request, origin)
        self._tasks.start_soon(self._carry_out, execution)
        return execution

    def adopt(self, execution: Execution) -> bool:
        """Go on with a run that an earlier service has left before it was started. False for what is none: its
        approvals, if there are any, are withdrawn when it ends."""
        if execution.origin.dialect != DIALECT:
            return False
        waits = execution.started_at is None
        self._tasks.start_soon(self._carry_out if waits else self._clear_up, execution)
        return waits

    async def get(self, tenant: str, execution_id: str) -> Execution:
        """The run with this id. Raises ExecutionNotFound."""
        execution = await self._executions.get(execution_id)
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

        return await self._executions.select(work), total

    async def children(self, tenant: str, parents: list[Execution]) -> list[Execution]:
        """The runs that have one of these for their parent."""
        ids = [parent.id for parent in parents]
        query = partial(rows.children, tenant=tenant, parent_ids=ids, most=MOST_CHILDREN)
        return await self._executions.select(query) if ids else []

    async def settled(self, execution: Execution, seconds: float) -> None:
        """Return when it has ended or waits for an approval, or after so many seconds; 0 is for ever."""
        with anyio.move_on_after(seconds or None):
            await first_of(execution.ended, execution.parked)

    async def cancel(self, execution: Execution) -> None:
        """Ask for its end; what has not started has ended when this returns."""
        execution.cancel()
        if execution.started_at is None and not execution.journal.ended:
            execution.finish(Complete(Status.CANCELLED))
            await execution.ended.wait()

    async def decide(self, execution: Execution, verdict: Verdict) -> None:
        """Approve or reject what it waits for. Raises NotAwaitingApproval, AlreadyDecided."""
        row = await self._approvals.pending(execution.id)
        await self._approvals.decide(execution.origin.tenant, row.id, verdict)

    async def _carry_out(self, execution: Execution) -> None:
        structlog.contextvars.clear_contextvars()
        try:
            await self._admit_and_run(execution)
        except ExecdError as error:
            _fail(execution, Reason.SANDBOX_LOST, Error(type(error).__name__, str(error)))
        except Exception:
            # A defect of ours must not take the other runs along.
            log.exception("agent_run_broke", execution_id=execution.id)
            _fail(execution, Reason.ERROR, Error("InternalError", "execd failed to run this; see its log"))
        await self._clear_up(execution)

    async def _clear_up(self, execution: Execution) -> None:
        await execution.ended.wait()
        with contextlib.suppress(ExecdError):
            await self._approvals.withdraw(execution.id)

    async def _admit_and_run(self, execution: Execution) -> None:
        config = AgentConfig.of(execution.origin.detail["config"])
        checkpoints = Checkpoints(self._approvals, execution, self._patience(config))
        execution.listener = Gatherer(execution.origin.detail, checkpoints.ask)
        if config.approval_required:
            await _unless_ended(execution, partial(self._admit, execution, config))
        if execution.journal.ended:
            return
        async with self._room(execution, config) as room:
            context = await room.contexts.create(config.language)
            try:
                await self._run(execution, room, context, checkpoints)
            finally:
                with anyio.CancelScope(shield=True), contextlib.suppress(ExecdError):
                    await room.contexts.delete(context.id)

    async def _admit(self, execution: Execution, config: AgentConfig) -> None:
        """Have it approved. One that is rejected has ended when this returns."""
        asked = await self._approvals.of(execution.id)
        payload = {"input": dict(execution.request.given or {})}
        row = asked[0] if asked else None
        if row is None:
            row = await self._approvals.ask(execution, config.checkpoint_name, payload, self._patience(config))
        if execution.status is Status.QUEUED and row.status == PENDING:
            execution.park()
        await self._approvals.wait(row, partial(_act, execution))

    async def _run(self, execution: Execution, room: Room, context: Context, checkpoints: Checkpoints) -> None:
        if execution.journal.ended:
            return
        execution.settle(room.id, context.id)
        context.submit(execution)
        await _unless_ended(execution, partial(checkpoints.serve, context))

    @asynccontextmanager
    async def _room(self, execution: Execution, config: AgentConfig) -> AsyncIterator[Room]:
        if config.sandbox_id:
            room = await self._rooms.enter(config.sandbox_id)
            if self._rooms.get(room.id).tenant != execution.origin.tenant:
                raise SandboxNotFound(config.sandbox_id)
            yield room
            return
        record = await self._rooms.create(config.sandbox(str(execution.origin.detail["agent_id"])))
        try:
            yield await self._rooms.enter(record.id)
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(ExecdError):
                await self._rooms.delete(record.id)

    def _patience(self, config: AgentConfig) -> float:
        return self._settings.approval_timeout if config.approval_timeout is None else config.approval_timeout


async def _unless_ended(execution: Execution, work: Callable[[], Any]) -> None:
    """Do this until it is done or the execution has ended."""
    failure: ExecdError | None = None
    async with anyio.create_task_group() as group:

        async def stop() -> None:
            await execution.ended.wait()
            group.cancel_scope.cancel()

        group.start_soon(stop)
        try:
            await work()
        except ExecdError as error:
            failure = error
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _act(execution: Execution, row: ApprovalRow) -> None:
    """What a decision before the start leads to."""
    if execution.journal.ended:
        return
    if row.status == APPROVED:
        if execution.status is Status.AWAITING_APPROVAL:
            execution.resume()
        return
    execution.emit(StatusChanged("error"))
    execution.emit(Error("Rejected", row.reason or "it was rejected"))
    execution.finish(Complete(Status.REJECTED))


def _fail(execution: Execution, reason: Reason, error: Error) -> None:
    if not execution.journal.ended:
        execution.fail(reason, error)


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
