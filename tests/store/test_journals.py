"""Journals as rows: read back from anywhere as they were written, holes and all."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from execd.store import journals
from execd.store.journals import BATCH_BYTES, Batch
from execd.store.store import Store
from execd.store.tables import journal

NAME = "run_1"


async def written(store: Store, *batches: Batch) -> None:
    """Append these, each in a transaction of its own."""
    for batch in batches:
        await store.write(lambda connection, batch=batch: journals.append(connection, NAME, batch))  # type: ignore[misc]


async def everything(store: Store, after: int = 0, most: int = 1) -> dict[int, bytes]:
    """All records after this seq, by their seqs, read in small steps."""
    found: dict[int, bytes] = {}
    while batches := await store.read(partial(_read, after=after, most=most)):
        for batch in batches:
            found |= dict(enumerate(batch.records, start=batch.first))
        after = max(found)
    return found


def _read(connection: Connection, after: int, most: int) -> list[Batch]:
    return journals.read(connection, NAME, after, most)


async def rows(store: Store) -> int:
    """How many rows there are."""

    def work(connection: Connection) -> int:
        return int(connection.execute(select(func.count()).select_from(journal)).scalar_one())

    return await store.read(work)


async def test_an_empty_one(store: Store) -> None:
    await written(store, Batch(1, []))
    assert await everything(store) == {}
    assert await rows(store) == 0


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 9, 10, 11, 12, 13])
async def test_from_any_seq_on_across_a_hole(store: Store, after: int) -> None:
    await written(store, Batch(1, [b"1", b"2"]), Batch(3, [b"3"]), Batch(11, [b"11", b"12"]))
    expected = {seq: str(seq).encode() for seq in (1, 2, 3, 11, 12) if seq > after}
    assert await everything(store, after) == expected
    assert await everything(store, after, 1 << 20) == expected


async def test_large_batches_become_rows_of_a_size(store: Store) -> None:
    records = [b"x" * (BATCH_BYTES // 4)] * 10
    await written(store, Batch(5, records))
    assert await rows(store) == 3
    assert list(await everything(store)) == list(range(5, 15))


async def test_about_as_much_is_read_as_was_asked_for(store: Store) -> None:
    await written(store, *(Batch(seq, [b"x" * 100]) for seq in range(1, 10)))
    found = await store.read(lambda connection: journals.read(connection, NAME, 2, 250))
    assert [batch.first for batch in found] == [3, 4, 5]


async def test_another_s_records_are_not_among_them(store: Store) -> None:
    await written(store, Batch(1, [b"mine"]))
    await store.write(lambda connection: journals.append(connection, "run_2", Batch(2, [b"other"])))
    assert await everything(store) == {1: b"mine"}


async def test_many_small_rows_become_few(store: Store) -> None:
    await written(store, *(Batch(seq, [b"%d" % seq]) for seq in range(1, 21)), Batch(31, [b"31"]))
    before = await everything(store)
    await store.write(lambda connection: journals.merge(connection, NAME, 31))
    assert await rows(store) == 2
    assert await everything(store) == before


async def test_few_rows_stay_as_they_are(store: Store) -> None:
    await written(store, *(Batch(seq, [b"x"]) for seq in range(1, 5)), Batch(5, [b"x"] * 20))
    await store.write(lambda connection: journals.merge(connection, NAME, 24))
    assert await rows(store) == 5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")), max_size=5), max_size=12))
async def test_whatever_was_appended_is_read(store: Store, appended: list[list[bytes]]) -> None:
    await store.write(lambda connection: connection.execute(journal.delete()))
    expected: dict[int, bytes] = {}
    for records in appended:
        first = len(expected) + 1
        expected |= dict(enumerate(records, start=first))
        await written(store, Batch(first, records))
    assert await everything(store) == expected
    await store.write(lambda connection: journals.merge(connection, NAME, len(expected)))
    assert await everything(store) == expected
