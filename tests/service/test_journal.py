"""The journal, case by case; tests/service/test_journal_model.py tries the rest."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from execd.events import Complete, Display, Status, Stdout, is_terminal
from execd.service.journal import Journal, JournalEnded, Slice
from execd.service.spool import Spool
from tests.service.journal_model import (
    END,
    MEMORY,
    SEGMENT,
    FailingSpool,
    decoded,
    late,
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
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(Spool(tmp_path / "spool"))
    yield made
    made.remove()


async def followed(records: AsyncIterator[Slice]) -> list[int]:
    with anyio.fail_after(20):
        return seqs(*[found async for found in records])


def test_an_empty_journal(journal: Journal) -> None:
    assert (journal.last_seq, journal.size, journal.ended, journal.in_memory) == (0, 0, False, 0)
    for after in (-1, 0, 1, 99):
        assert journal.read(after).records == []
    assert journal.read(0).last == 0


def test_timestamps_never_go_backwards(tmp_path: Path) -> None:
    times = iter([5, 9, 3, 3, 10, 0])
    journal = Journal(Spool(tmp_path / "spool"), clock=lambda: next(times))
    for _ in range(6):
        journal.append(text(1))
    assert [each["timestamp"] for each in decoded(journal.read(0))] == [5, 9, 9, 9, 10, 10]


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
    assert seqs(journal.read(0)) == [1, 2]


def test_old_records_are_in_the_file_and_read_back(journal: Journal, tmp_path: Path) -> None:
    written = [journal.append(text(size)) for size in [10, SEGMENT, 1, MEMORY, 2, 3, MEMORY, SEGMENT]]
    assert (tmp_path / "spool").stat().st_size > MEMORY
    assert journal.in_memory < MEMORY
    assert [len(each["text"]) for each in decoded(Slice(1, read_all(journal)))] == [
        10, SEGMENT, 1, MEMORY, 2, 3, MEMORY, SEGMENT,
    ]  # fmt: skip
    for after in range(len(written)):
        assert len(read_all(journal, after)) == len(written) - after


def test_a_slice_is_cut_but_never_empty(journal: Journal) -> None:
    for _ in range(5):
        journal.append(text(1))
    one = len(journal.read(0).records[0])
    assert [len(journal.read(0, most).records) for most in (0, 1, one, one + 1, 5 * one, 10**9)] == [1, 1, 1, 2, 5, 5]


def test_what_is_read_is_the_readers_own(journal: Journal) -> None:
    journal.append(text(1))
    journal.read(0).records.clear()
    assert seqs(journal.read(0)) == [1]


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

        before = len([found for found in gc.get_objects() if isinstance(found, anyio.Event)])
        for _ in range(50):
            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        gc.collect()
        after = len([found for found in gc.get_objects() if isinstance(found, anyio.Event)])
        assert after - before <= 1
        journal.append(END)
        assert await followed(journal.follow()) == [1]

    async def test_removal_does_not_break_one_that_reads(self, journal: Journal, tmp_path: Path) -> None:
        for _ in range(20):
            journal.append(text(SEGMENT))
        journal.append(END)
        journal.settle()
        following = journal.follow()
        first = await anext(following)
        journal.remove()
        assert not (tmp_path / "spool").exists()
        rest = [found async for found in following]
        assert seqs(first, *rest) == list(range(1, 22))


class TestFullDisk:
    def test_nothing_is_lost(self, tmp_path: Path) -> None:
        journal = Journal(FailingSpool(tmp_path / "spool", room=2 * MEMORY))
        for _ in range(20):
            journal.append(text(SEGMENT))
        assert journal.storage_failed
        journal.append(END)
        journal.settle()
        assert len(read_all(journal)) == 21
        journal.remove()

    def test_a_disk_that_has_room_shows_nothing(self, journal: Journal) -> None:
        for _ in range(20):
            journal.append(text(SEGMENT))
        assert not journal.storage_failed


class TestSettle:
    def test_a_long_journal_goes_to_the_file(self, journal: Journal) -> None:
        for _ in range(4):
            journal.append(text(SEGMENT // 2))
        journal.append(END)
        before = read_all(journal)
        journal.settle()
        assert journal.in_memory == 0
        assert read_all(journal) == before

    def test_a_short_one_stays_in_memory(self, journal: Journal, tmp_path: Path) -> None:
        journal.append(END)
        journal.settle()
        assert journal.in_memory > 0
        assert not (tmp_path / "spool").exists()

    def test_twice_and_with_late_events_between(self, journal: Journal) -> None:
        journal.append(text(SEGMENT))
        journal.append(END)
        for _ in range(3):
            journal.settle()
            journal.settle()
            journal.append(late(SEGMENT // 2))
        assert seqs(Slice(1, read_all(journal))) == [1, 2, 3, 4, 5]

    def test_removal_twice(self, journal: Journal, tmp_path: Path) -> None:
        journal.append(text(4 * MEMORY))
        journal.append(END)
        journal.settle()
        journal.remove()
        journal.remove()
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(FileNotFoundError):
            journal.read(0)
