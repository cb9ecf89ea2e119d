"""Approvals: what a run waits for until somebody has decided, or the time for that is over. Decided once.

Who waits looks at the store from time to time: another service that shares it may have got the decision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import anyio
import structlog

from execd.errors import AlreadyDecided, ApprovalNotFound, NotAwaitingApproval
from execd.identifiers import new_id
from execd.service.execution import Execution
from execd.service.journal import now_ms
from execd.store import approvals as rows
from execd.store.approvals import PENDING, ApprovalRow, Decision
from execd.store.store import Store

log = structlog.get_logger(__name__)

APPROVED, REJECTED, EXPIRED, WITHDRAWN = "approved", "rejected", "expired", "cancelled"
STATUSES = (PENDING, APPROVED, REJECTED, EXPIRED, WITHDRAWN)

EXPIRED_REASON = "nobody has approved it in time"

_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody says to a run that waits."""

    approve: bool
    reason: str = ""
    by: str = ""


@dataclass(slots=True)
class _Waiting:
    """Who waits for a decision: `decided` wakes them, `acted` says that they have done what follows."""

    decided: anyio.Event = field(default_factory=anyio.Event)
    acted: anyio.Event = field(default_factory=anyio.Event)


class Approvals:
    """The approvals of a service. All of it raises StorageFull where the store cannot be used."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, _Waiting] = {}

    async def ask(self, execution: Execution, checkpoint: str, payload: Any, patience: float) -> ApprovalRow:
        """A new one that this execution waits for, no longer than so many seconds; 0 is for ever."""
        now, origin = now_ms(), execution.origin
        expires_at = now + round(patience * 1000) if patience else None
        agent_id = str(origin.detail.get("agent_id", ""))
        row = ApprovalRow(new_id("apr"), origin.tenant, execution.id, agent_id, checkpoint, payload, now, expires_at)
        await self._store.write(partial(rows.add, row=row))
        # For whoever shows the run.
        origin.detail["approval_expires_at"] = expires_at
        log.info("approval_wanted", execution_id=execution.id, approval_id=row.id, checkpoint=checkpoint)
        return row

    async def wait(self, row: ApprovalRow, act: Callable[[ApprovalRow], None]) -> None:
        """Wait until it is decided, and then do what follows. Whoever has decided gets the answer after that."""
        waiting = self._waiting[row.id] = _Waiting()
        try:
            act(await self._decided(row, waiting))
        finally:
            waiting.acted.set()
            del self._waiting[row.id]

    async def decide(self, tenant: str, approval_id: str, verdict: Verdict) -> ApprovalRow:
        """Decide one; what waits for it has gone on when this returns. Raises ApprovalNotFound, AlreadyDecided."""
        row = await self._fresh(await self.get(tenant, approval_id))
        decision = Decision(APPROVED if verdict.approve else REJECTED, now_ms(), verdict.reason, verdict.by)
        if row.status != PENDING or not await self._store.write(
            partial(rows.decide, approval_id=approval_id, decision=decision)
        ):
            raise AlreadyDecided(approval_id)
        log.info("approval_decided", approval_id=approval_id, status=decision.status)
        waiting = self._waiting.get(approval_id)
        if waiting is not None:
            waiting.decided.set()
            await waiting.acted.wait()
        return await self.get(tenant, approval_id)

    async def get(self, tenant: str, approval_id: str) -> ApprovalRow:
        """The one with this id. Raises ApprovalNotFound."""
        row = await self._store.read(partial(rows.get, tenant=tenant, approval_id=approval_id))
        if row is None:
            raise ApprovalNotFound(approval_id)
        return row

    async def page(self, tenant: str, status: str | None, offset: int, limit: int) -> tuple[list[ApprovalRow], int]:
        """Some of them, the newest first, and how many there are."""
        return await self._store.read(partial(rows.listed, tenant=tenant, status=status, offset=offset, limit=limit))

    async def of(self, execution_id: str) -> list[ApprovalRow]:
        """All that an execution has waited for, the newest first."""
        return await self._store.read(partial(rows.of_execution, execution_id=execution_id))

    async def pending(self, execution_id: str) -> ApprovalRow:
        """The one that an execution waits for. Raises NotAwaitingApproval."""
        for row in await self.of(execution_id):
            if row.status == PENDING:
                return row
        raise NotAwaitingApproval(execution_id)

    async def withdraw(self, execution_id: str) -> None:
        """The execution has ended: nothing is to be decided any more."""
        for row in await self.of(execution_id):
            if row.status == PENDING:
                await self._store.write(
                    partial(rows.decide, approval_id=row.id, decision=Decision(WITHDRAWN, now_ms()))
                )

    async def withdraw_left(self) -> None:
        """The same for all executions that a service before this one has ended in haste."""
        await self._store.write(partial(rows.decide_for_ended, decision=Decision(WITHDRAWN, now_ms())))

    async def _decided(self, row: ApprovalRow, waiting: _Waiting) -> ApprovalRow:
        while True:
            row = await self._fresh(await self.get(row.tenant, row.id))
            if row.status != PENDING:
                return row
            with anyio.move_on_after(patience(row, now_ms())):
                await waiting.decided.wait()

    async def _fresh(self, row: ApprovalRow) -> ApprovalRow:
        """The same, expired if its time is over."""
        now = now_ms()
        if row.status != PENDING or row.expires_at is None or now < row.expires_at:
            return row
        decision = Decision(EXPIRED, now, EXPIRED_REASON)
        if await self._store.write(partial(rows.decide, approval_id=row.id, decision=decision)):
            return replace(row, status=EXPIRED, reason=EXPIRED_REASON, decided_at=now)
        return await self.get(row.tenant, row.id)


def patience(row: ApprovalRow, now: int) -> float:
    """How many seconds from now on to wait before the next look."""
    if row.expires_at is None:
        return _LOOK_SECONDS
    return min(max(row.expires_at - now, 1) / 1000, _LOOK_SECONDS)
