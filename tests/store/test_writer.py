"""The one thread that writes: what waits is committed together, and what fails hurts nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, insert, select, text

from execd.errors import StoreUnusable
from execd.store.store import Store
from execd.store.tables import usage

Work = Callable[[Connection], None]


def used(tenant: str) -> Work:
    """Insert a row."""

    def work(connection: Connection) -> None:
        connection.execute(insert(usage).values(tenant=tenant, day="2026-01-01", cpu_ms=1))

    return work


async def tenants(store: Store) -> list[str]:
    """Whose rows there are."""

    def work(connection: Connection) -> list[str]:
        return list(connection.execute(select(usage.c.tenant).order_by(usage.c.tenant)).scalars())

    return await store.read(work)


async def test_what_was_written_is_read(store: Store) -> None:
    await store.write(used("a"))
    assert await tenants(store) == ["a"]


async def test_what_waits_at_the_same_moment_is_one_transaction(store: Store) -> None:
    busy, free = threading.Event(), threading.Event()
    transactions: list[int] = []

    def hold(connection: Connection) -> None:
        busy.set()
        free.wait(20)
        transactions.append(id(connection.get_transaction()))

    def noted(tenant: str) -> Work:
        def work(connection: Connection) -> None:
            used(tenant)(connection)
            transactions.append(id(connection.get_transaction()))

        return work

    first = store.submit(hold)
    assert busy.wait(20)
    others = [store.submit(noted(name)) for name in "abc"]
    free.set()
    for future in (first, *others):
        future.result(20)
    assert len(set(transactions[1:])) == 1
    assert await tenants(store) == ["a", "b", "c"]


async def test_work_that_fails_is_undone_alone(store: Store) -> None:
    busy, free = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        busy.set()
        free.wait(20)

    def fail(connection: Connection) -> None:
        used("never")(connection)
        raise KeyError("mine")

    store.submit(hold)
    assert busy.wait(20)
    futures = [store.submit(used("a")), store.submit(fail), store.submit(used("a")), store.submit(used("b"))]
    free.set()
    results = [future.exception(20) for future in futures]
    assert [type(result) for result in results] == [type(None), KeyError, StoreUnusable, type(None)]
    assert await tenants(store) == ["a", "b"]


async def test_what_a_database_refuses_is_said_without_values(store: Store) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text("SELECT :secret FROM no_such_table"), {"secret": "hunter2"})

    with pytest.raises(StoreUnusable) as refused:
        await store.write(work)
    assert "no_such_table" in str(refused.value)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(StoreUnusable, match="no_such_table"):
        await store.read(work)


async def test_one_who_waits_no_more_changes_nothing_for_the_others(store: Store) -> None:
    busy, free = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        busy.set()
        free.wait(20)

    store.submit(hold)
    assert busy.wait(20)
    given_up, kept = store.submit(used("a")), store.submit(used("b"))
    assert given_up.cancel()
    free.set()
    kept.result(20)
    assert await tenants(store) == ["b"]
