"""Webhooks, secrets and deliveries as rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from execd.store import deliveries, executions, webhooks
from execd.store.deliveries import DELIVERED, FAILED, PENDING, Busy, DeliveryRow, Result, WantedDeliveries
from execd.store.store import Store
from execd.store.webhooks import WebhookRow

HOOK = WebhookRow("wh_1", "tnt_1", "https://h/", 1, ["execution.failed"], "mine")
DELIVERY = DeliveryRow(
    "msg_1", "node_1", "tnt_1", "run_1", "https://h/", "h:443", "execution.failed", 1000, due_at=1000
)
MINE = WantedDeliveries("tnt_1")


async def ids(store: Store, wanted: WantedDeliveries = MINE) -> list[str]:
    """Of the deliveries, from the oldest on."""
    found = await store.read(lambda connection: deliveries.page(connection, wanted, 99))
    return [row.id for row in reversed(found)]


async def test_webhooks_are_their_tenant_s(store: Store) -> None:
    other = replace(HOOK, id="wh_2", tenant="tnt_2", events=[], created_at=2)
    for row in (other, HOOK):
        await store.write(lambda connection, row=row: webhooks.add(connection, row))  # type: ignore[misc]
    assert await store.read(webhooks.everybodys) == [HOOK, other]
    assert await store.read(lambda connection: webhooks.of_tenant(connection, "tnt_2")) == [other]
    assert await store.read(lambda connection: webhooks.get(connection, "wh_1")) == HOOK
    assert await store.read(lambda connection: webhooks.get(connection, "wh_1", "tnt_1")) == HOOK
    assert await store.read(lambda connection: webhooks.get(connection, "wh_1", "tnt_2")) is None
    assert await store.read(lambda connection: webhooks.count(connection, "tnt_1")) == 1


async def test_one_that_is_disabled_is_told_why_once(store: Store) -> None:
    await store.write(lambda connection: webhooks.add(connection, HOOK))
    for why, now in (("first", 5), ("second", 6)):
        await store.write(lambda connection, why=why, now=now: webhooks.disable(connection, "wh_1", why, now))  # type: ignore[misc]
    assert await store.read(lambda connection: webhooks.enabled(connection, "tnt_1")) == []
    found = await store.read(lambda connection: webhooks.get(connection, "wh_1"))
    assert found == replace(HOOK, disabled_at=5, disabled_why="first")


async def test_removing_one_removes_what_is_its(store: Store) -> None:
    def work(connection: Connection) -> None:
        webhooks.add(connection, HOOK)
        webhooks.add_secret(connection, "wh_1", "whsec_1", 1)
        webhooks.add_secret(connection, "tnt_1", "whsec_2", 1)
        deliveries.add(connection, [replace(DELIVERY, webhook_id="wh_1"), replace(DELIVERY, id="msg_2")])

    await store.write(work)
    assert await store.write(lambda connection: webhooks.remove(connection, "wh_1"))
    assert not await store.write(lambda connection: webhooks.remove(connection, "wh_1"))
    assert await ids(store) == ["msg_2"]
    assert await store.read(lambda connection: webhooks.secrets_of(connection, "wh_1", 1)) == []
    assert await store.read(lambda connection: webhooks.secrets_of(connection, "tnt_1", 1)) == ["whsec_2"]


async def test_secrets_are_exchanged(store: Store) -> None:
    async def good(now: int) -> list[str]:
        return await store.read(lambda connection: webhooks.secrets_of(connection, "wh_1", now))

    async def rotate(secret: str, now: int) -> None:
        await store.write(lambda connection: webhooks.rotate_secret(connection, "wh_1", secret, now, now + 100))

    await store.write(lambda connection: webhooks.add_secret(connection, "wh_1", "a", 1))
    await rotate("b", 10)
    assert await good(109) == ["b", "a"]
    assert await good(110) == ["b"]
    await rotate("c", 50)
    assert await good(60) == ["c", "b", "a"]
    # However often that is done, it stays a short list.
    for number in range(10):
        await rotate(str(number), 70)
    assert await good(80) == ["9", "8", "7"]
    assert await good(200) == ["9"]


@pytest.mark.parametrize(
    ("busy", "expected"),
    [
        (Busy(), ["msg_1", "msg_2", "msg_3"]),
        (Busy(ids=["msg_1"]), ["msg_2", "msg_3"]),
        (Busy(hosts=["h:443"]), ["msg_3"]),
        (Busy(tenants=["tnt_1", "tnt_2"]), []),
        (Busy(ids=["msg_3"], hosts=["h:443"]), []),
    ],
)
async def test_what_is_due(store: Store, busy: Busy, expected: list[str]) -> None:
    rows = [
        replace(DELIVERY, id="msg_2", due_at=2000),
        DELIVERY,
        replace(DELIVERY, id="msg_3", host="i:443", due_at=3000),
        replace(DELIVERY, id="later", due_at=3001),
        replace(DELIVERY, id="another's", node="node_2"),
        replace(DELIVERY, id="done", state=DELIVERED, due_at=None),
    ]
    await store.write(lambda connection: deliveries.add(connection, rows))

    def work(connection: Connection) -> list[str]:
        return [row.id for row in deliveries.due(connection, "node_1", 3000, busy, 99)]

    assert await store.read(work) == expected
    assert [row.id for row in await store.read(lambda c: deliveries.due(c, "node_1", 3000, busy, 1))] == expected[:1]
    next_at = await store.read(lambda connection: deliveries.next_due(connection, "node_1", busy))
    waiting = {"msg_1": 1000, "msg_2": 2000, "msg_3": 3000}
    known = [waiting[name] for name in expected]
    if "h:443" not in busy.hosts and "tnt_1" not in busy.tenants:
        known.append(3001)
    assert next_at == (min(known) if known else None)


async def test_attempts_are_noted_until_one_was_the_last(store: Store) -> None:
    await store.write(lambda connection: deliveries.add(connection, [DELIVERY]))

    async def settle(result: Result) -> bool:
        return await store.write(lambda connection: deliveries.settle(connection, "msg_1", result))

    async def found() -> DeliveryRow:
        [row] = await store.read(lambda connection: deliveries.page(connection, MINE, 9))
        return replace(row, number=0)

    assert await settle(Result(PENDING, 5, 10, 503, "why"))
    assert await found() == replace(DELIVERY, attempts=1, due_at=10, last_status=503, last_error="why")
    assert await settle(Result(DELIVERED, 11, None, 200))
    ended = replace(DELIVERY, attempts=2, due_at=None, last_status=200, state=DELIVERED, ended_at=11)
    assert await found() == ended
    assert not await settle(Result(FAILED, 12))
    assert await found() == ended
    assert not await store.write(lambda connection: deliveries.settle(connection, "gone", Result(FAILED, 12)))


async def test_pages(store: Store) -> None:
    rows = [replace(DELIVERY, id=f"msg_{number}", execution_id=f"run_{number % 2}") for number in range(5)]
    rows.append(replace(DELIVERY, id="theirs", tenant="tnt_2"))
    await store.write(lambda connection: deliveries.add(connection, rows))
    assert await ids(store) == [f"msg_{number}" for number in range(5)]
    assert await ids(store, replace(MINE, execution_id="run_1")) == ["msg_1", "msg_3"]
    assert await ids(store, replace(MINE, webhook_id="wh_1")) == []
    assert await ids(store, replace(MINE, state=DELIVERED)) == []
    first = await store.read(lambda connection: deliveries.page(connection, MINE, 2))
    second = await store.read(lambda connection: deliveries.page(connection, MINE, 2, first[-1].number))
    assert [row.id for row in (*first, *second)] == ["msg_4", "msg_3", "msg_2", "msg_1"]


async def test_what_goes(store: Store) -> None:
    rows = [
        replace(DELIVERY, id="old", state=FAILED, ended_at=10, execution_id="run_2"),
        replace(DELIVERY, id="young", state=DELIVERED, ended_at=20, execution_id="run_2"),
        replace(DELIVERY, id="waiting"),
    ]
    await store.write(lambda connection: deliveries.add(connection, rows))
    assert await store.write(lambda connection: deliveries.prune(connection, 20)) == 1
    assert await ids(store) == ["young", "waiting"]
    await store.write(lambda connection: executions.remove(connection, ["run_1"]))
    assert await ids(store) == ["young"]
