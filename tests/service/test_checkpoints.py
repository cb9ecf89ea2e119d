"""The checkpoints of a run, without a kernel: asked for, answered once, and gone on with after another service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from execd.errors import StorageFull
from execd.events import Checkpoint, Complete, Status
from execd.service.approvals import Approvals, Verdict
from execd.service.checkpoints import Checkpoints
from execd.service.context import Context
from execd.service.execution import Execution
from execd.store import approvals as rows
from execd.store.store import Store
from tests.service.stage import new_execution

pytestmark = pytest.mark.anyio

GO = Checkpoint("go?", {"x": 1})
YES, NO = Verdict(True), Verdict(False, "no")


class Code:
    """What waits in the context: it hears answers."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def answer_input(self, value: str) -> None:
        self.heard.append(json.loads(value))


class Stage:
    """A run that has begun, whose checkpoints are served."""

    def __init__(self, store: Store, execution: Execution, patience: float = 0) -> None:
        self.approvals = Approvals(store)
        self.execution = execution
        self.code = Code()
        self.checkpoints = Checkpoints(self.approvals, execution, patience)
        if execution.started_at is None:
            execution.start()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve them while the block runs."""
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.checkpoints.serve, cast("Context", self.code))
                yield
                tasks.cancel_scope.cancel()

    async def decide(self, verdict: Verdict) -> None:
        """Decide what it waits for, as soon as it does."""
        await self.execution.parked.wait()
        row = await self.approvals.pending(self.execution.id)
        await self.approvals.decide("default", row.id, verdict)

    async def statuses(self) -> list[str]:
        """Those of its approvals, from the oldest on."""
        return [row.status for row in reversed(await self.approvals.of(self.execution.id))]


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    return new_execution(tmp_path)


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [(YES, {"approved": True, "reason": ""}), (NO, {"approved": False, "reason": "no"})],
)
async def test_the_code_hears_of_the_decision(
    store: Store, execution: Execution, verdict: Verdict, answer: dict[str, Any]
) -> None:
    stage = Stage(store, execution)
    async with stage.served():
        stage.checkpoints.ask(GO)
        await stage.decide(verdict)
    assert stage.code.heard == [answer]
    assert (execution.status, execution.rejected) == (Status.RUNNING, not verdict.approve)


async def test_one_is_asked_after_the_other(store: Store, execution: Execution) -> None:
    stage = Stage(store, execution)
    async with stage.served():
        for verdict in (YES, NO, YES):
            stage.checkpoints.ask(GO)
            await stage.decide(verdict)
    assert [heard["approved"] for heard in stage.code.heard] == [True, False, True]
    assert execution.rejected is True


async def test_a_flood_of_them_asks_for_no_flood_of_approvals(store: Store, execution: Execution) -> None:
    stage = Stage(store, execution)
    async with stage.served():
        for _ in range(1000):
            stage.checkpoints.ask(GO)
        await stage.decide(NO)
    assert await stage.statuses() == ["rejected"]


async def test_nobody_is_answered_whose_run_has_ended(store: Store, execution: Execution) -> None:
    stage = Stage(store, execution)
    async with stage.served():
        stage.checkpoints.ask(GO)
        await execution.parked.wait()
        execution.finish(Complete(Status.CANCELLED))
        row = await stage.approvals.pending(execution.id)
        await stage.approvals.decide("default", row.id, YES)
    assert (stage.code.heard, execution.status) == ([], Status.CANCELLED)


async def test_where_nothing_can_be_asked_the_answer_is_no(
    store: Store, execution: Execution, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(rows, "add", fail)
    stage = Stage(store, execution)
    async with stage.served():
        stage.checkpoints.ask(GO)
        while not stage.code.heard:
            await checkpoint()
    assert (stage.code.heard[0]["approved"], execution.rejected) == (False, True)


@pytest.mark.parametrize(
    ("recalled", "asked", "decided", "after"),
    [
        # It was heard, and nobody was asked any more.
        ([GO], [], [], ["approved"]),
        # Somebody was asked, and it was not journaled any more that the code had.
        ([], ["go?"], [], ["approved"]),
        ([GO], ["go?"], [], ["approved"]),
        # It was decided, and perhaps not answered any more.
        ([GO], ["go?"], [YES], ["approved"]),
        ([GO, GO], ["go?", "go?"], [YES], ["approved", "approved"]),
    ],
)
async def test_a_later_service_goes_on_where_it_was(
    store: Store,
    execution: Execution,
    recalled: Sequence[Checkpoint],
    asked: Sequence[str],
    decided: Sequence[Verdict],
    after: list[str],
) -> None:
    stage = Stage(store, execution)
    made = [await stage.approvals.ask(execution, name, None, 0) for name in asked]
    for row, verdict in zip(made, decided, strict=False):
        await stage.approvals.decide("default", row.id, verdict)
    stage.checkpoints.recall(recalled, before_start=0)
    async with stage.served():
        if len(decided) < len(after):
            await stage.decide(YES)
        while not stage.code.heard:
            await checkpoint()
    assert stage.code.heard == [{"approved": True, "reason": ""}]
    assert await stage.statuses() == after


async def test_what_was_approved_before_the_start_is_no_checkpoint(store: Store, execution: Execution) -> None:
    stage = Stage(store, execution)
    row = await stage.approvals.ask(execution, "start", None, 0)
    await stage.approvals.decide("default", row.id, YES)
    stage.checkpoints.recall([], before_start=1)
    caught_up = anyio.Event()
    stage.execution.clock_changed = caught_up.set
    async with stage.served():
        stage.checkpoints.ask(GO)
        await caught_up.wait()
        await stage.decide(NO)
    assert [heard["approved"] for heard in stage.code.heard] == [False]
