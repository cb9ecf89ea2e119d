"""The journal, case by case; tests/service/test_journal_model.py tries the rest."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from execd.events import Complete, Display, Event, Status, Stdout, is_terminal
from execd.service import journal as module
from execd.service.journal import Journal, JournalEnded, Slice
from tests.service.journal_model import (
    END,
    ENDED_MEMORY,
    MEMORY,
    SEGMENT,
    MemoryShelf,
    decoded,
    late,
    now,
    read_all,
    seqs,
    small_bounds,
    text,
)


@pytest.fixture(scope="module", autouse=True)
def _bounds() -> Iterator[None]:
    with small_bounds():
        yield


@pytest.fixture
def full_at_once() -> Iterator[None]:
    """A journal is full with a record or two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FULL_BYTES", 300)
        patch.setattr(module, "OVERFULL_BYTES", 1000)
        yield


@pytest.fixture
def journal() -> Journal:
    """One without a store."""
    return Journal()


def _how_many_events() -> int:
    # By their types: to ask a weak proxy for its class is to ask what it stands for, which may be gone.
    return sum(issubclass(type(found), anyio.Event) for found in gc.get_objects())


async def followed(records: AsyncIterator[Slice]) -> list[int]:
    with anyio.fail_after(20):
        return seqs(*[found async for found in records])


def test_an_empty_journal(journal: Journal) -> None:
    assert (journal.last_seq, journal.size, journal.ended, journal.in_memory) == (0, 0, False, 0)
    for after in (-1, 0, 1, 99):
        assert now(journal.read(after)).records == []
    assert now(journal.read(0)).last == 0


def test_timestamps_never_go_backwards() -> None:
    times = iter([5, 9, 3, 3, 10, 0])
    journal = Journal(clock=lambda: next(times))
    for _ in range(6):
        journal.append(text(1))
    assert [each["timestamp"] for each in decoded(now(journal.read(0)))] == [5, 9, 9, 9, 10, 10]


@pytest.mark.parametrize("event", [text(1), END, Complete(Status.FAILED), Complete(Status.FAILED, late=True)], ids=repr)
def test_after_the_end_there_is_no_other_end_and_nothing_that_is_not_late(
    journal: Journal, event: Stdout | Complete
) -> None:
    journal.append(text(1))
    assert journal.append(END) == 2
    with pytest.raises(JournalEnded, match=f"{event.type} after the end"):
        journal.append(event)
    assert (journal.last_seq, journal.end_seq) == (2, 2)
    assert journal.append(late(1)) == 3


def test_an_event_that_cannot_be_encoded_leaves_no_gap(journal: Journal) -> None:
    journal.append(text(1))
    with pytest.raises(TypeError):
        journal.append(Display({"text/plain": object()}, {}))
    journal.append(text(1))
    assert seqs(now(journal.read(0))) == [1, 2]


def test_old_records_leave_memory_when_they_are_kept_and_read_back() -> None:
    shelf = MemoryShelf()
    journal = Journal(shelf)
    sizes = [10, SEGMENT, 1, MEMORY, 2, 3, MEMORY, SEGMENT]
    for size in sizes:
        journal.append(text(size))
    assert journal.in_memory > 2 * MEMORY
    shelf.take(journal)
    assert journal.in_memory < 2 * MEMORY
    assert [len(each["text"]) for each in decoded(Slice(1, read_all(journal)))] == sizes
    for after in range(len(sizes)):
        assert len(read_all(journal, after)) == len(sizes) - after


class TestTold:
    """What readers are told, and when."""

    def test_nothing_before_the_first_record_is_kept(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(text(1))
        assert (journal.told_seq, read_all(journal), shelf.noted) == (0, [], 1)
        shelf.take(journal)
        journal.append(text(1))
        assert (journal.told_seq, len(read_all(journal))) == (2, 2)

    def test_the_end_and_what_follows_only_when_the_end_is_kept(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(text(1))
        shelf.take(journal)
        for event in (text(1), END, late(1)):
            journal.append(event)
        assert seqs(Slice(1, read_all(journal))) == [1, 2]
        shelf.take(journal)
        assert seqs(Slice(1, read_all(journal))) == [1, 2, 3, 4]

    async def test_a_follower_waits_for_that(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(text(1))
        journal.append(END)
        seen: list[int] = []

        async def follow() -> None:
            seen.extend(await followed(journal.follow()))

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            assert journal.told_seq == 0
            shelf.take(journal)
        assert seen == [1, 2]

    def test_no_seq_beyond_those_that_are_reserved(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "RESERVED", 3)
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(text(1))
        shelf.take(journal)
        for _ in range(9):
            journal.append(text(1))
        assert seqs(Slice(1, read_all(journal))) == [1, 2, 3, 4]
        shelf.take(journal)
        assert len(read_all(journal)) == 10

    def test_all_of_it_where_it_cannot_be_kept(self) -> None:
        shelf = MemoryShelf(room=0)
        journal = Journal(shelf)
        journal.append(text(1))
        journal.append(END)
        shelf.take(journal)
        failed = [journal.storage_failed]
        assert len(read_all(journal)) == 2
        shelf.room = 1000
        shelf.take(journal)
        assert [*failed, journal.storage_failed] == [True, False]
        assert [row.first for row in shelf.rows] == [1]
        assert len(read_all(journal)) == 2


class TestRestored:
    """One that an earlier service has begun."""

    def begun(self, shelf: MemoryShelf, *events: Event) -> Journal:
        journal = Journal(shelf)
        for event in (text(1), *events):
            journal.append(event)
        shelf.take(journal)
        return journal

    def test_it_goes_on_above_what_was_reserved(self) -> None:
        shelf = MemoryShelf()
        size = self.begun(shelf, text(1)).size
        journal = Journal.restored(shelf, 2, None, size, reserved=100)
        assert journal.append(text(1)) == 101
        assert journal.append(END) == 102
        shelf.take(journal)
        assert [each["seq"] for each in decoded(Slice(1, read_all(journal)))] == [1, 2, 101, 102]

    @pytest.mark.parametrize(
        ("after", "expected"), [(0, [1, 2, 101, 102]), (2, [101, 102]), (57, [101, 102]), (101, [102])]
    )
    async def test_whoever_has_seen_what_was_not_kept_misses_nothing(self, after: int, expected: list[int]) -> None:
        shelf = MemoryShelf()
        size = self.begun(shelf, text(1)).size
        journal = Journal.restored(shelf, 2, None, size, reserved=100)
        journal.append(text(1))
        journal.append(END)
        shelf.take(journal)
        assert await followed(journal.follow(after)) == expected

    async def test_one_that_has_ended_is_all_in_the_store(self) -> None:
        shelf = MemoryShelf()
        size = self.begun(shelf, text(1), END).size
        journal = Journal.restored(shelf, 3, 3, size, reserved=100)
        assert (journal.ended, journal.told_seq, journal.in_memory) == (True, 3, 0)
        assert await followed(journal.follow()) == [1, 2, 3]
        assert journal.append(late(1)) == 4


def test_a_slice_is_cut_but_never_empty(journal: Journal) -> None:
    for _ in range(5):
        journal.append(text(1))
    one = len(now(journal.read(0)).records[0])
    found = [now(journal.read(0, most)).records for most in (0, 1, one, one + 1, 5 * one, 10**9)]
    assert list(map(len, found)) == [1, 1, 1, 2, 5, 5]


def test_what_is_read_is_the_readers_own(journal: Journal) -> None:
    journal.append(text(1))
    now(journal.read(0)).records.clear()
    assert seqs(now(journal.read(0))) == [1]


class TestFollow:
    async def test_it_ends_with_the_terminal_record(self, journal: Journal) -> None:
        journal.append(text(1))
        journal.append(END)
        journal.append(late(1))
        slices = [found async for found in journal.follow()]
        assert seqs(*slices) == [1, 2]
        assert is_terminal(slices[-1].records[-1])

    @pytest.mark.parametrize(("after", "expected"), [(0, [1, 2, 3]), (2, [3]), (3, [4, 5]), (4, [5]), (5, []), (9, [])])
    async def test_from_the_end_on_it_gives_what_came_late(
        self, journal: Journal, after: int, expected: list[int]
    ) -> None:
        for event in (text(1), text(1), END, late(1), late(1)):
            journal.append(event)
        assert await followed(journal.follow(after)) == expected

    async def test_late_records_of_any_number_are_all_given(self, journal: Journal) -> None:
        journal.append(END)
        for _ in range(9):
            journal.append(late(SEGMENT))
        assert await followed(journal.follow(1)) == list(range(2, 11))

    @pytest.mark.parametrize("after", [1, 2, 3, 7])
    async def test_one_that_waits_sees_the_end(self, journal: Journal, after: int) -> None:
        journal.append(text(1))
        seen: list[int] = []
        waiting = anyio.Event()

        async def follow() -> None:
            waiting.set()
            seen.extend(await followed(journal.follow(after)))

        async with anyio.create_task_group() as group:
            group.start_soon(follow)
            await waiting.wait()
            await anyio.wait_all_tasks_blocked()
            journal.append(text(1))
            journal.append(END)
        assert seen == [seq for seq in (2, 3) if seq > after]

    async def test_one_that_is_cancelled_leaves_nothing_behind(self, journal: Journal) -> None:
        async def follow() -> None:
            await followed(journal.follow())

        before = _how_many_events()
        for _ in range(50):
            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        gc.collect()
        assert _how_many_events() - before <= 1
        journal.append(END)
        assert await followed(journal.follow()) == [1]

    async def test_it_ends_where_its_records_have_been_removed(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        for _ in range(20):
            journal.append(text(SEGMENT))
        journal.append(END)
        shelf.take(journal)
        shelf.rows.clear()
        assert await followed(journal.follow()) == [21]


class TestMemory:
    def test_nothing_is_lost_where_nothing_can_be_kept(self) -> None:
        shelf = MemoryShelf(room=2 * MEMORY)
        journal = Journal(shelf)
        for _ in range(20):
            journal.append(text(SEGMENT))
            shelf.take(journal)
        journal.append(END)
        shelf.take(journal)
        assert journal.storage_failed
        assert len(read_all(journal)) == 21

    def test_a_long_one_that_has_ended_leaves_memory(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        for _ in range(4):
            journal.append(text(SEGMENT // 2))
        journal.append(END)
        before = len(read_all(journal))
        shelf.take(journal)
        assert journal.in_memory < ENDED_MEMORY
        assert before == 0
        assert len(read_all(journal)) == 5

    def test_a_short_one_stays(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(END)
        shelf.take(journal)
        assert journal.in_memory > 0

    def test_with_late_events_again_and_again(self) -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        journal.append(text(SEGMENT))
        journal.append(END)
        for _ in range(3):
            shelf.take(journal)
            journal.append(late(SEGMENT // 2))
        assert seqs(Slice(1, read_all(journal))) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("full_at_once")
def test_it_is_full_until_what_it_has_is_kept() -> None:
    journal, told = Journal(MemoryShelf()), []
    journal.append(text(200))
    assert not journal.full
    journal.append(text(200))
    assert (journal.full, journal.overfull) == (True, False)
    journal.when_room(lambda: told.append("room"))
    taken = journal.unkept()
    journal.append(text(200))
    journal.kept(taken.last - 1)
    assert (journal.full, told) == (True, [])
    journal.kept(taken.last)
    assert (journal.full, told) == (False, ["room"])
    journal.kept(taken.last)
    assert told == ["room"]


@pytest.mark.usefixtures("full_at_once")
def test_nobody_waits_for_a_store_that_takes_nothing() -> None:
    journal, told = Journal(MemoryShelf()), []
    journal.append(text(1000))
    assert journal.overfull
    journal.when_room(lambda: told.append("room"))
    journal.unkept()
    journal.not_kept()
    assert (journal.full, told) == (False, ["room"])
    journal.append(text(1000))
    assert not journal.full


@pytest.mark.usefixtures("full_at_once")
def test_one_without_a_store_is_never_full(journal: Journal) -> None:
    journal.append(text(1000))
    assert not journal.full
