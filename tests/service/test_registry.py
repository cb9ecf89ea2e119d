"""What is noted is kept: as it is when it is looked at, once, and never given up."""

from __future__ import annotations

import anyio
import pytest
from sqlalchemy import Connection

from execd.errors import StorageFull
from execd.service.registry import Registry, Write, registering
from execd.store.store import Store

pytestmark = pytest.mark.anyio


class Thing:
    """Something that changes. `kept` is what was written of it."""

    def __init__(self) -> None:
        self.value = 0
        self.kept: list[int] = []
        self.written = anyio.Event()
        self.refusals = 0

    def look(self) -> Write:
        value = self.value

        def write(_: Connection) -> None:
            if self.refusals:
                self.refusals -= 1
                raise StorageFull("no room")
            self.kept.append(value)

        return write


async def test_it_is_kept_as_it_is_when_it_is_written(store: Store) -> None:
    registry, thing = Registry(store), Thing()
    registry.note("thing", thing.look)
    thing.value = 1
    registry.note("thing", thing.look)
    thing.value = 2
    await registry.flush()
    await registry.flush()
    assert thing.kept == [2]


async def test_it_is_kept_by_itself_whoever_has_flushed_before(store: Store) -> None:
    thing = Thing()
    async with registering(store) as registry:
        await anyio.wait_all_tasks_blocked()
        await registry.flush()
        registry.note("thing", thing.look)
        with anyio.fail_after(10):
            while not thing.kept:  # noqa: ASYNC110 - it is written in a thread
                await anyio.sleep(0.005)


async def test_what_could_not_be_kept_is_still_noted(store: Store) -> None:
    registry, thing = Registry(store), Thing()
    thing.refusals = 1
    registry.note("thing", thing.look)
    with pytest.raises(StorageFull):
        await registry.flush()
    thing.value = 3
    await registry.flush()
    assert thing.kept == [3]


async def test_the_end_keeps_what_is_left(store: Store) -> None:
    thing = Thing()
    async with registering(store) as registry:
        registry.note("thing", thing.look)
    assert thing.kept == [0]


async def test_what_has_time_does_not_keep_waiting_what_has_none(store: Store) -> None:
    slow, quick = Thing(), Thing()
    async with registering(store) as registry:
        registry.note("slow", slow.look, within=3600)
        await anyio.wait_all_tasks_blocked()
        registry.note("quick", quick.look)
        with anyio.fail_after(10):
            while not (slow.kept and quick.kept):  # noqa: ASYNC110 - they are written in a thread
                await anyio.sleep(0.005)
