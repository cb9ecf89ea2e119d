"""What is announced becomes deliveries: of each what is wanted, once, and with what it tells of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import Connection

from execd.errors import StorageFull
from execd.events import Complete, Reason, Status, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service.announcement import EVENT_TYPES, Announcement
from execd.service.announcing import News, deliveries_of
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.meters import Meters
from execd.service.recorder import recording
from execd.service.rendering import Rendering, Renderings
from execd.settings import Settings
from execd.store import deliveries, webhooks
from execd.store.deliveries import DeliveryRow, WantedDeliveries
from execd.store.store import Store
from execd.store.webhooks import WebhookRow

URL = "https://hooks.example/hook"
ENDED = Announcement("execution.failed", 7)
ASKED = Announcement("execution.awaiting_approval", 5, {"status": "awaiting_approval"})


def hook(identity: str, *events: str) -> WebhookRow:
    """A webhook."""
    return WebhookRow(identity, "default", f"https://{identity}.example/", 1, events)


@pytest.mark.parametrize(
    ("url", "known", "announced", "expected"),
    [
        (None, [], [ENDED], []),
        (URL, [], [], []),
        (URL, [], [ENDED], [(None, ENDED)]),
        (URL, [hook("a")], [ASKED, ENDED], [(None, ASKED), ("a", ASKED), (None, ENDED), ("a", ENDED)]),
        (None, [hook("a", "execution.failed"), hook("b", "execution.succeeded")], [ASKED, ENDED], [("a", ENDED)]),
    ],
)
def test_who_is_told_what(url: str | None, known: Any, announced: Any, expected: Any) -> None:
    made = deliveries_of(News("run_1", "default", url, tuple(announced)), known, "node_1")
    assert [(row.webhook_id, row.type, row.body, row.created_at) for row in made] == [
        (webhook_id, told.type, told.record, told.at) for webhook_id, told in expected
    ]
    assert len({row.id for row in made}) == len(made)
    for row in made:
        assert (row.state, row.attempts, row.due_at, row.node) == ("pending", 0, row.created_at, "node_1")
        assert row.url == (URL if row.webhook_id is None else f"https://{row.webhook_id}.example/")


def test_what_can_be_told_of() -> None:
    assert set(EVENT_TYPES) == {
        "execution.awaiting_approval",
        "execution.succeeded",
        "execution.failed",
        "execution.cancelled",
        "execution.rejected",
    }


async def rows(store: Store) -> list[DeliveryRow]:
    """All deliveries, from the oldest on."""

    def work(connection: Connection) -> list[DeliveryRow]:
        return list(reversed(deliveries.page(connection, WantedDeliveries("default"), 99)))

    return await store.read(work)


def status_of(execution: Execution) -> dict[str, Any]:
    """How it stands."""
    return {"status": execution.status.value}


async def whole(execution: Execution) -> dict[str, Any]:
    """The same."""
    return status_of(execution)


async def new(executions: Executions, identity: str = "run_1", url: str | None = URL) -> Execution:
    """A new execution."""
    return await executions.new(ExecuteRequest("1"), Origin(identity, "ctx_1", "python", webhook_url=url))


async def test_every_state_that_is_told_of_is_told_once(store: Store) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters(), Renderings(Rendering(status_of, whole)))
        told = 0

        def announced() -> None:
            nonlocal told
            told += 1

        executions.when_announced(announced)
        execution = await new(executions)
        assert execution.webhook_delivery == "pending"
        execution.park()
        # Whatever becomes of it before that is kept, what is told is how it was.
        execution.resume()
        execution.start()
        execution.park()
        await recorder.flush()
        execution.resume()
        execution.emit(Stdout("x"))
        await recorder.flush()
        execution.finish(Complete(Status.FAILED, Reason.ERROR))
        await execution.ended.wait()
        execution.emit(Stdout("late"))
        await recorder.flush()
        restored = await executions.get(execution.id)
        restored.emit(Stdout("later still"))
        await recorder.flush()
        assert told == 2
        assert (restored.origin.webhook_url, restored.webhook_delivery) == (URL, "pending")
    awaiting = ("execution.awaiting_approval", {"status": "awaiting_approval"})
    assert [(row.type, row.body) for row in await rows(store)] == [awaiting, awaiting, ("execution.failed", None)]


async def test_what_nobody_is_told_wakes_nobody(store: Store) -> None:
    await store.write(lambda connection: webhooks.add(connection, hook("other", "execution.rejected")))
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        told: list[str] = []
        executions.when_announced(lambda: told.append("something"))
        execution = await new(executions, url=None)
        execution.start()
        execution.finish(Complete(Status.SUCCEEDED))
        await execution.ended.wait()
        await recorder.flush()
        assert told == []
        heard = await new(executions, "run_2")
        heard.start()
        heard.finish(Complete(Status.SUCCEEDED))
        await heard.ended.wait()
        await recorder.flush()
        assert told == ["something"]


async def test_a_tenant_s_webhooks_are_told_of_all_that_is_its_own(store: Store) -> None:
    await store.write(lambda connection: webhooks.add(connection, hook("mine")))
    await store.write(
        lambda connection: webhooks.add(connection, WebhookRow("theirs", "tnt_1", "https://theirs.example/", 1))
    )
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        execution = await new(executions, url=None)
        assert execution.webhook_delivery is None
        execution.finish(Complete(Status.CANCELLED))
        await execution.ended.wait()
        await store.write(lambda connection: webhooks.disable(connection, "mine", "why", 9))
        another = await new(executions, "run_2", url=None)
        another.finish(Complete(Status.CANCELLED))
        await another.ended.wait()
    assert [(row.webhook_id, row.execution_id) for row in await rows(store)] == [("mine", "run_1")]


async def test_what_cannot_be_kept_is_told_once_it_can(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        execution = await new(executions)
        await recorder.flush()
        submit, full = store.submit, True

        def refuse(work: Callable[[Connection], object]) -> Future[object]:
            if not full:
                return submit(work)
            # It was done, and is undone.
            submit(lambda connection: undone(work, connection))
            refused: Future[object] = Future()
            refused.set_exception(StorageFull("disk full"))
            return refused

        monkeypatch.setattr(store, "submit", refuse)
        execution.start()
        execution.finish(Complete(Status.SUCCEEDED))
        for _ in range(2):
            with pytest.raises(StorageFull):
                await recorder.flush()
        assert await rows(store) == []
        full = False
        await recorder.flush()
        assert [row.type for row in await rows(store)] == ["execution.succeeded"]


def undone(work: Callable[[Connection], object], connection: Connection) -> None:
    """Do something that comes to nothing."""
    work(connection)
    raise RuntimeError


async def test_a_killed_service_has_kept_both_or_neither(store: Store) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        await new(executions)
    # It ended here, before anybody was told of an end.
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters())
        [left] = await executions.unfinished()
        executions.abandon(left)
        await left.ended.wait()
    [told] = await rows(store)
    assert (told.execution_id, told.type, told.url) == ("run_1", "execution.failed", URL)
