"""Approvals: asked for, decided once, expired, withdrawn; and who waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from execd.errors import AlreadyDecided, ApprovalNotFound, NotAwaitingApproval
from execd.service import approvals as module
from execd.service.approvals import Approvals, Verdict, patience
from execd.service.execution import Execution
from execd.store import approvals as rows
from execd.store.approvals import ApprovalRow, Decision
from execd.store.store import Store
from tests.service.stage import Clock, new_execution

pytestmark = pytest.mark.anyio

YES, NO = Verdict(True, "fine", "somebody"), Verdict(False, "no")
ROW = ApprovalRow("apr_1", "default", "run_1", "agt_1", "start", None, created_at=0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that approvals go by."""
    clock = Clock()
    monkeypatch.setattr(module, "now_ms", clock)
    return clock


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    """A run that may want to be approved."""
    return new_execution(tmp_path)


class Waiter:
    """Waits for an approval, and keeps what comes of it."""

    def __init__(self, approvals: Approvals, row: ApprovalRow) -> None:
        self.got: list[ApprovalRow] = []
        self.ended = anyio.Event()
        self._wait = partial(approvals.wait, row, self.got.append)

    async def run(self) -> None:
        await self._wait()
        self.ended.set()


async def asleep(approvals: Approvals, row: ApprovalRow) -> None:
    """Return once somebody waits for the decision, and has looked."""
    while row.id not in approvals._waiting:
        await checkpoint()


async def test_what_waits_has_gone_on_when_the_decision_is_answered(store: Store, execution: Execution) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", {"x": 1}, 0)
    waiter = Waiter(approvals, row)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiter.run)
            await asleep(approvals, row)
            decided = await approvals.decide("default", row.id, YES)
            assert waiter.got == [decided]
    assert (decided.status, decided.reason, decided.decided_by) == ("approved", "fine", "somebody")


@pytest.mark.parametrize(("first", "status"), [(YES, "approved"), (NO, "rejected")])
async def test_it_is_decided_once(store: Store, execution: Execution, first: Verdict, status: str) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 60)
    assert (await approvals.pending(execution.id)).id == row.id
    await approvals.decide("default", row.id, first)
    for second in (YES, NO):
        with pytest.raises(AlreadyDecided, match=row.id):
            await approvals.decide("default", row.id, second)
    assert (await approvals.get("default", row.id)).status == status
    with pytest.raises(NotAwaitingApproval, match=execution.id):
        await approvals.pending(execution.id)


async def test_one_that_is_decided_already_is_not_waited_for(store: Store, execution: Execution) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 0)
    await approvals.decide("default", row.id, NO)
    waiter = Waiter(approvals, row)
    with anyio.fail_after(20):
        await waiter.run()
    assert [found.status for found in waiter.got] == ["rejected"]


async def test_what_another_service_has_decided_is_seen(
    store: Store, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 0)
    waiter = Waiter(approvals, row)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiter.run)
            await asleep(approvals, row)
            await store.write(partial(rows.decide, approval_id=row.id, decision=Decision("approved", 1)))
    assert [found.status for found in waiter.got] == ["approved"]


async def test_time_is_over(store: Store, execution: Execution, clock: Clock) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 5)
    assert row.expires_at == clock.now + 5000
    clock.now += 5000
    with pytest.raises(AlreadyDecided):
        await approvals.decide("default", row.id, YES)
    waiter = Waiter(approvals, row)
    with anyio.fail_after(20):
        await waiter.run()
    assert [(found.status, found.reason) for found in waiter.got] == [("expired", module.EXPIRED_REASON)]
    assert (await approvals.get("default", row.id)).status == "expired"


async def test_nothing_is_decided_for_a_run_that_has_ended(store: Store, execution: Execution) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 0)
    await approvals.withdraw(execution.id)
    assert (await approvals.get("default", row.id)).status == "cancelled"
    with pytest.raises(AlreadyDecided):
        await approvals.decide("default", row.id, YES)


async def test_what_another_tenant_waits_for_is_not_there(store: Store, execution: Execution) -> None:
    approvals = Approvals(store)
    row = await approvals.ask(execution, "go?", None, 0)
    for act in (partial(approvals.get, "another", row.id), partial(approvals.decide, "another", row.id, YES)):
        with pytest.raises(ApprovalNotFound, match=row.id):
            await _called(act)
    assert (await approvals.get("default", row.id)).status == "pending"


async def _called(act: Callable[[], object]) -> None:
    await act()  # type: ignore[misc]


@pytest.mark.parametrize(("expires_at", "seconds"), [(None, 5.0), (1, 0.001), (3000, 2.0), (60_000, 5.0)])
def test_how_long_to_wait_before_the_next_look(expires_at: int | None, seconds: float) -> None:
    assert patience(replace(ROW, expires_at=expires_at), 1000) == seconds
