"""All executions: those that live, those that the store has, and what the retention keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager

import anyio
import pytest
from sqlalchemy import Connection

from execd.errors import ExecutionNotFound, StorageFull
from execd.events import Complete, Error, ExecutionCount, Interruption, Reason, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service import executions as module
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.journal import now_ms
from execd.service.meters import Meters
from execd.service.recorder import Recorder, recording
from execd.settings import Settings
from execd.store.executions import Wanted
from execd.store.store import Store
from tests.service.journal_model import read_all


class Kept:
    """Executions under a retention, and a clock."""

    def __init__(self, recorder: Recorder, patch: pytest.MonkeyPatch, **settings: object) -> None:
        self.now = now_ms() + 1_000_000
        patch.setattr(module, "now_ms", lambda: self.now)
        self.recorder = recorder
        self.all = Executions(Settings.model_validate(settings), recorder, Meters())
        self._numbers = iter(range(1000))

    async def new(self, context_id: str = "ctx_1", **origin: object) -> Execution:
        identity = f"run_{next(self._numbers)}"
        made = Origin(identity, context_id, "python", **origin)  # type: ignore[arg-type]
        execution = await self.all.new(ExecuteRequest("1"), made)
        execution.journal.clock = lambda: self.now
        return execution

    async def ended(self, output: int = 0, context_id: str = "ctx_1") -> Execution:
        execution = await self.new(context_id)
        execution.start()
        if output:
            execution.emit(Stdout("x" * output))
        execution.finish(Complete(Status.SUCCEEDED))
        await execution.ended.wait()
        return execution

    async def ids(self) -> list[str]:
        return [execution.id for execution in (await self.all.page(Wanted(), 100)).items]


@asynccontextmanager
async def keeping(store: Store, **settings: object) -> AsyncIterator[Kept]:
    with pytest.MonkeyPatch.context() as patch:
        async with recording(store) as recorder:
            yield Kept(recorder, patch, **settings)


async def test_what_was_made_is_found(store: Store) -> None:
    async with keeping(store) as kept:
        execution = await kept.new()
        assert await kept.all.get(execution.id) is execution
        assert len(kept.all) == 1
        with pytest.raises(ExecutionNotFound, match="run_nope"):
            await kept.all.get("run_nope")


async def test_what_has_ended_is_found_as_it_was(store: Store) -> None:
    async with keeping(store) as kept:
        execution = await kept.new(detail={"merged": True}, tenant="somebody", dialect="other", key="k")
        execution.start()
        execution.emit(ExecutionCount(7))
        execution.emit(Stdout("one\u2028two"))
        execution.emit(Error("E", "v", ("a", "b")))
        execution.cancel()
        end = Complete(
            Status.FAILED, Reason.OOM, exit_code=-9, duration_ms=5, cpu_seconds=0.5, peak_memory_bytes=6,
            interruption=Interruption("kill", state_kept=False),
        )  # fmt: skip
        execution.finish(end)
        await execution.ended.wait()
        assert len(kept.all) == 0
        found = await kept.all.get(execution.id)
        assert found is not execution
        for name in ("id", "context_id", "sandbox_id", "origin", "request", "status", "error", "complete", "created_at",
                     "started_at", "finished_at", "cancel_requested_at", "execution_count"):  # fmt: skip
            assert getattr(found, name) == getattr(execution, name), name
        assert found.complete == end
        assert (found.elapsed_ms(), found.ended.is_set()) == (execution.elapsed_ms(), True)
        records = [record async for piece in found.follow() for record in piece.records]
        assert records == read_all(execution.journal)


async def test_its_environment_is_forgotten_when_it_starts(store: Store) -> None:
    async with keeping(store) as kept:
        execution = await kept.new()
        kept.recorder.note(execution)
        await kept.recorder.flush()
        assert execution.status is Status.QUEUED
        execution.start()
        await kept.recorder.flush()
        [row] = await kept.all.unfinished()
        assert row.status is Status.RUNNING


async def test_they_are_listed_newest_first_by_context_and_status(store: Store) -> None:
    async with keeping(store) as kept:
        one, two, three = await kept.ended(), await kept.new("ctx_2"), await kept.new()

        async def listed(**wanted: str) -> list[str]:
            return [found.id for found in (await kept.all.page(Wanted(**wanted), 9)).items]  # type: ignore[arg-type]

        assert await listed() == [three.id, two.id, one.id]
        assert await listed(context_id="ctx_1") == [three.id, one.id]
        assert await listed(status="queued") == [three.id, two.id]
        assert await listed(context_id="ctx_1", status="succeeded") == [one.id]
        assert await listed(context_id="ctx_3") == []


async def test_pages_are_stable_while_new_ones_come(store: Store) -> None:
    async with keeping(store) as kept:
        made = [await kept.new() for _ in range(5)]
        first = await kept.all.page(Wanted(), 2)
        await kept.new()
        second = await kept.all.page(Wanted(), 2, first.before)
        third = await kept.all.page(Wanted(), 2, second.before)
        listed = [found.id for page in (first, second, third) for found in page.items]
        assert listed == [execution.id for execution in reversed(made)]
        assert third.before is None


async def test_the_oldest_of_too_many_go(store: Store) -> None:
    async with keeping(store, keep_executions=2) as kept:
        waiting = await kept.new()
        ended = [await kept.ended(output=50_000) for _ in range(5)]
        await kept.all.prune()
        assert await kept.ids() == [ended[4].id, ended[3].id, waiting.id]
        assert (await kept.recorder.read(ended[0].id, 0, 1000)).records == []


async def test_what_ended_first_goes_first(store: Store) -> None:
    async with keeping(store, keep_executions=1) as kept:
        slow = await kept.new()
        slow.start()
        quick = await kept.ended()
        kept.now += 1
        slow.finish(Complete(Status.SUCCEEDED))
        await slow.ended.wait()
        await kept.all.prune()
        with pytest.raises(ExecutionNotFound):
            await kept.all.get(quick.id)
        assert await kept.ids() == [slow.id]


async def test_what_is_too_old_goes_when_somebody_looks(store: Store) -> None:
    async with keeping(store, keep_executions_age=60) as kept:
        execution = await kept.ended()
        kept.now += 60_000
        assert (await kept.all.get(execution.id)).id == execution.id
        kept.now += 1
        with pytest.raises(ExecutionNotFound):
            await kept.all.get(execution.id)
        assert await kept.ids() == []


async def test_the_journals_share_a_size(store: Store) -> None:
    async with keeping(store, keep_executions_size=100_000) as kept:
        ended = []
        for _ in range(5):
            ended.append(await kept.ended(output=30_000))
            kept.now += 1
        await kept.all.prune()
        assert await kept.ids() == [execution.id for execution in reversed(ended[2:])]


async def test_one_that_is_too_large_stays_until_the_next_ends(store: Store) -> None:
    async with keeping(store, keep_executions_size=10_000) as kept:
        large = await kept.ended(output=50_000)
        await kept.all.prune()
        assert await kept.ids() == [large.id]
        kept.now += 1
        small = await kept.ended()
        await kept.all.prune()
        assert await kept.ids() == [small.id]


async def test_late_output_of_what_was_removed_is_dropped(store: Store) -> None:
    async with keeping(store, keep_executions=1) as kept:
        gone = await kept.ended()
        kept.now += 1
        await kept.ended()
        await kept.all.prune()
        gone.emit(Stdout("late"))
        await kept.recorder.flush()
        assert (await kept.recorder.read(gone.id, 0, 1000)).records == []


async def test_what_a_killed_service_left_is_ended_with_what_is_known(store: Store) -> None:
    async with keeping(store) as kept:
        queued, running, cancelled = [await kept.new() for _ in range(3)]
        for execution in (running, cancelled):
            execution.start()
            execution.emit(Stdout("so far"))
        cancelled.cancel()
    async with keeping(store) as again:
        left = await again.all.unfinished()
        assert [execution.id for execution in left] == [queued.id, running.id, cancelled.id]
        for execution in left:
            again.all.abandon(execution)
            await execution.ended.wait()
        ends = {found.id: found.complete for found in (await again.all.page(Wanted(), 9)).items}
        assert [(end.status, end.reason) for end in (ends[queued.id], ends[running.id], ends[cancelled.id]) if end] == [
            (Status.FAILED, Reason.SERVICE_RESTARTED),
            (Status.FAILED, Reason.SERVICE_RESTARTED),
            (Status.CANCELLED, None),
        ]
        found = await again.all.get(running.id)
        records = [record async for piece in found.follow(2) for record in piece.records]
        assert [record.split(b'"')[3] for record in records] == [
            b"service_restarted", b"status", b"error", b"execution_complete",
        ]  # fmt: skip


async def test_another_node_s_are_left_alone(database: object, store: Store) -> None:
    async with keeping(store) as kept:
        await kept.new()
    with Store.open(database, "node_2") as other:  # type: ignore[arg-type]
        async with keeping(other) as elsewhere:
            assert await elsewhere.all.unfinished() == []


class TestFullDisk:
    """A store that keeps nothing more."""

    async def test_no_new_work_and_nothing_lost(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        async with keeping(store) as kept:
            running = await kept.new()
            running.start()
            await kept.recorder.flush()
            submit, full = store.submit, True

            def refuse(work: Callable[[Connection], object]) -> Future[object]:
                if not full:
                    return submit(work)
                refused: Future[object] = Future()
                refused.set_exception(StorageFull("disk full"))
                return refused

            monkeypatch.setattr(store, "submit", refuse)
            with pytest.raises(StorageFull):
                await kept.new()
            running.emit(Stdout("kept in memory"))
            running.finish(Complete(Status.SUCCEEDED))
            with pytest.raises(StorageFull):
                await kept.recorder.flush()
            with anyio.fail_after(5):
                await running.ended.wait()
            assert (await kept.all.get(running.id)) is running
            assert len(read_all(running.journal)) == 3
            full = False
            await kept.recorder.flush()
            assert (await kept.all.get(running.id)) is not running
            assert [found.id for found in (await kept.all.page(Wanted(), 9)).items] == [running.id]
