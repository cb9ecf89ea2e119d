"""One run of an agent, seen through: approved where that is wanted, placed, attended, and cleared away after.

When the service ends it is left as it is, for the next one to go on with.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import anyio
import structlog

from execd.errors import ExecdError
from execd.events import Checkpoint, Complete, Error, Reason, Status, StatusChanged
from execd.service.agent import AgentConfig
from execd.service.agent_output import Gatherer
from execd.service.approvals import APPROVED, Approvals
from execd.service.caller import Caller, caller, calling, default_sandbox
from execd.service.checkpoints import Checkpoints
from execd.service.context import Context
from execd.service.execution import DEFAULT_SANDBOX, Execution
from execd.service.executions import Executions
from execd.service.record import SandboxRecord, SandboxRequest
from execd.settings import Settings
from execd.store.approvals import PENDING, ApprovalRow

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.02


class Room(Protocol):
    """What a run needs of a sandbox."""

    id: str

    @property
    def contexts(self) -> Any:
        """The sandbox's contexts."""


class Rooms(Protocol):
    """What runs need of all sandboxes."""

    def records(self) -> list[SandboxRecord]:
        """What is known about all."""

    async def create(self, wanted: SandboxRequest, key: str = "") -> SandboxRecord:
        """A new, running sandbox."""

    async def enter(self, sandbox_id: str) -> Room:
        """The running sandbox with this id."""

    async def delete(self, sandbox_id: str) -> SandboxRecord:
        """End a sandbox."""


@dataclass(frozen=True, slots=True)
class Means:
    """What runs are carried out with."""

    settings: Settings
    executions: Executions
    rooms: Rooms
    approvals: Approvals


class AgentRun:
    """Carries one run out, a new one or one that an earlier service has left: then it is `recall`ed first."""

    def __init__(self, execution: Execution, means: Means) -> None:
        self.execution = execution
        self._means = means
        self._config = AgentConfig.of(execution.origin.detail["config"])
        asked_for = self._config.approval_timeout
        self._patience = means.settings.approval_timeout if asked_for is None else asked_for
        self._checkpoints = Checkpoints(means.approvals, execution, self._patience)
        self._gatherer = Gatherer(execution.origin.detail, self._checkpoints.ask)
        self._room: Room | None = None
        self._context: Context | None = None
        execution.listener = self._gatherer

    async def recall(self) -> None:
        """Know what the journal says has happened. Raises StorageFull."""
        asked: list[Checkpoint] = []
        after = 0
        while (found := await self.execution.journal.read(after)).records:
            after = found.last
            for event in map(json.loads, found.records):
                self._gatherer.recall(event)
                if event["type"] == Checkpoint.type:
                    asked.append(Checkpoint(event["name"], event["payload"]))
        self._checkpoints.recall(asked, before_start=int(self._config.approval_required))

    async def carry_out(self) -> None:
        """See it through to its end."""
        structlog.contextvars.clear_contextvars()
        # Who has asked for it, or its tenant, where an earlier service was asked.
        with calling(caller() or Caller(self.execution.origin.tenant)):
            await self._carry_out()

    async def _carry_out(self) -> None:
        execution = self.execution
        try:
            await (self._begin() if execution.context_id is None else self._go_on())
        except ExecdError as error:
            self._fail(Reason.SANDBOX_LOST, Error(type(error).__name__, str(error)))
        except Exception:
            # A defect of ours must not take the other runs along.
            log.exception("agent_run_broke", execution_id=execution.id)
            self._fail(Reason.ERROR, Error("InternalError", "execd failed to run this; see its log"))
        await execution.ended.wait()
        with contextlib.suppress(ExecdError):
            await self._means.approvals.withdraw(execution.id)

    async def _begin(self) -> None:
        if self._config.approval_required:
            await self._unless_ended(self._admit)
        if not self.execution.journal.ended:
            await self._cleared_after(self._place)

    async def _go_on(self) -> None:
        await self._cleared_after(self._find)

    async def _admit(self) -> None:
        """Have it approved. One that is rejected has ended when this returns."""
        execution, approvals = self.execution, self._means.approvals
        asked = await approvals.of(execution.id)
        payload = {"input": dict(execution.request.given or {})}
        row = asked[0] if asked else None
        if row is None:
            row = await approvals.ask(execution, self._config.checkpoint_name, payload, self._patience)
        if execution.status is Status.QUEUED and row.status == PENDING:
            execution.park()
        await approvals.wait(row, self._act)

    def _act(self, row: ApprovalRow) -> None:
        execution = self.execution
        if execution.journal.ended:
            return
        if row.status == APPROVED:
            if execution.status is Status.AWAITING_APPROVAL:
                execution.resume()
            return
        execution.emit(StatusChanged("error"))
        execution.emit(Error("Rejected", row.reason or "it was rejected"))
        execution.finish(Complete(Status.REJECTED))

    async def _place(self) -> None:
        execution = self.execution
        self._room = room = await self._new_room()
        self._context = context = await room.contexts.create(self._config.language)
        execution.settle(room.id, context.id)
        # Before it can begin: a later service must not take it for one that has no place, and begin it again.
        await self._means.executions.keep()
        if execution.journal.ended:
            return
        context.submit(execution)
        await self._unless_ended(partial(self._checkpoints.serve, context))

    async def _find(self) -> None:
        execution = self.execution
        self._room = await self._means.rooms.enter(execution.sandbox_id)
        self._context = context = self._room.contexts.get(execution.context_id)
        while not (execution.journal.ended or _is_running(execution, context)):  # noqa: ASYNC110  # it tells nobody
            await anyio.sleep(_LOOK_SECONDS)
        await self._unless_ended(partial(self._checkpoints.serve, context))

    async def _new_room(self) -> Room:
        rooms, execution = self._means.rooms, self.execution
        if not self._config.sandbox_id:
            agent_id = str(execution.origin.detail["agent_id"])
            return await rooms.enter((await rooms.create(self._config.sandbox(agent_id, execution.id))).id)
        named = self._config.sandbox_id
        return await rooms.enter(default_sandbox() if named == DEFAULT_SANDBOX else named)

    async def _cleared_after(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            await self._clear()
            raise
        await self._clear()

    async def _clear(self) -> None:
        with anyio.CancelScope(shield=True), contextlib.suppress(ExecdError):
            if self._room is not None and not self._config.sandbox_id:
                await self._means.rooms.delete(self._room.id)
            elif self._room is not None and self._context is not None:
                await self._room.contexts.delete(self._context.id)

    async def _unless_ended(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this until it is done or the run has ended."""
        failure: ExecdError | None = None
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                await self.execution.ended.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop)
            try:
                await work()
            except ExecdError as error:
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _fail(self, reason: Reason, error: Error) -> None:
        if not self.execution.journal.ended:
            self.execution.fail(reason, error)


def _is_running(execution: Execution, context: Context) -> bool:
    return context.running is execution and execution.started_at is not None
