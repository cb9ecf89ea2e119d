"""How much of a tenant's due is used, and what is over it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from execd.errors import QuotaExceeded
from execd.events import Complete, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service.caller import Caller, Limits, calling
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.meters import Meters
from execd.service.quotas import Quotas, check, check_count, day_of, until_tomorrow
from execd.service.recorder import recording
from execd.settings import Settings
from execd.store import tenants
from execd.store.store import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(("used", "limit", "refused"), [(0, None, False), (9, 10, False), (10, 10, True), (0, 0, True)])
def test_whether_there_is_room(used: int, limit: int | None, refused: bool) -> None:
    if not refused:
        check("contexts", used, limit)
        return
    with pytest.raises(QuotaExceeded, match=f"quota of contexts is {limit}, and {used} are used; delete one"):
        check("contexts", used, limit)


def test_only_who_asks_is_counted() -> None:
    def count(tenant: str) -> int:
        return {"a": 3, "b": 2}[tenant]

    check_count("sandboxes", count)
    for who, refused in (
        (Caller("a", limits=Limits(sandboxes=3)), True),
        (Caller("b", limits=Limits(sandboxes=3)), False),
    ):
        with calling(who):
            if refused:
                with pytest.raises(QuotaExceeded):
                    check_count("sandboxes", count)
            else:
                check_count("sandboxes", count)


def test_days_end_at_midnight() -> None:
    assert (day_of(NOON), until_tomorrow(NOON)) == ("2026-03-01", 12 * 3600)
    assert until_tomorrow(NOON.replace(hour=23, minute=59, second=59, microsecond=900_000)) == 1


async def begun(executions: Executions, number: int) -> Execution:
    """A running execution of tenant a's."""
    execution = await executions.new(ExecuteRequest("1"), Origin(f"run_{number}", "ctx", "python", tenant="a"))
    execution.start()
    return execution


async def test_executions_at_once(store: Store) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        with calling(Caller("a", limits=Limits(executions=2))):
            first, _ = await begun(executions, 1), await begun(executions, 2)
            with pytest.raises(QuotaExceeded, match="quota of executions is 2, and 2 are used"):
                await begun(executions, 3)
            first.finish(Complete(Status.SUCCEEDED))
            await begun(executions, 4)
        with calling(Caller("b", limits=Limits(executions=1))):
            await executions.new(ExecuteRequest("1"), Origin("run_5", "ctx", "python", tenant="b"))


async def test_what_is_stored(store: Store) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        with calling(Caller("a", limits=Limits(stored_bytes=10_000))):
            execution = await begun(executions, 1)
            execution.emit(Stdout("x" * 20_000))
            execution.finish(Complete(Status.SUCCEEDED))
            await execution.ended.wait()
            recorder.quotas = Quotas(store)
            with pytest.raises(QuotaExceeded, match="quota of stored_bytes is 10000") as refused:
                await begun(executions, 2)
            assert refused.value.retry_after == 60


async def test_cpu_time_of_a_day(store: Store) -> None:
    async with recording(store) as recorder:
        recorder.quotas = Quotas(store, lambda: NOON)
        executions = Executions(Settings(), recorder, Meters())
        with calling(Caller("a", limits=Limits(cpu_seconds=3))):
            for number in (1, 2):
                execution = await begun(executions, number)
                execution.finish(Complete(Status.SUCCEEDED, cpu_seconds=1.6))
                await execution.ended.wait()
            with pytest.raises(QuotaExceeded, match="quota of cpu_seconds is 3, and 3 are used") as refused:
                await begun(executions, 3)
            assert refused.value.retry_after == 12 * 3600
            recorder.quotas = Quotas(store, lambda: NOON.replace(day=2))
            await begun(executions, 4)
    assert await store.read(lambda connection: tenants.spent(connection, "a", "2026-03-01")) == 3200
