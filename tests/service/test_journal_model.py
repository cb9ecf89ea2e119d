"""The journal against a plain list: whatever is appended, read, ended and settled, nothing is missing or twice."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from execd.events import Event, encode
from execd.service.journal import Journal, JournalEnded, Slice
from tests.service.journal_model import (
    END,
    MEMORY,
    SEGMENT,
    MemoryShelf,
    late,
    now,
    read_all,
    seqs,
    small_bounds,
    text,
)

sizes = st.one_of(
    st.integers(0, 40),
    st.integers(SEGMENT - 80, SEGMENT + 20),
    st.integers(MEMORY - 80, MEMORY + 20),
    st.just(4 * MEMORY),
)


@pytest.fixture(scope="module", autouse=True)
def _bounds() -> Iterator[None]:
    with small_bounds():
        yield


class JournalMachine(RuleBasedStateMachine):
    """Appends, reads, followers at any speed, the end, late events, settling; a clock that jumps; a disk that fills."""

    cursors = Bundle("cursors")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.last_time = 0
        self.expected: list[bytes] = []
        self.largest = 0
        self.full = False

    @initialize(room=st.sampled_from([0, SEGMENT, 3 * MEMORY, 1 << 30]))
    def open(self, room: int) -> None:
        self.shelf = MemoryShelf(room)
        self.journal = Journal(self.shelf, clock=lambda: self.now)

    def _append(self, event: Event) -> None:
        self.last_time = max(self.last_time, self.now)
        seq = self.journal.append(event)
        self.expected.append(encode(event, seq, self.last_time))
        self.largest = max(self.largest, len(self.expected[-1]) + 1)

    @rule(size=sizes)
    def append(self, size: int) -> None:
        if self.journal.ended:
            with pytest.raises(JournalEnded):
                self.journal.append(text(size))
        else:
            self._append(text(size))

    @precondition(lambda self: not self.journal.ended)
    @rule()
    def end(self) -> None:
        self._append(END)
        assert self.journal.end_seq == len(self.expected)

    @precondition(lambda self: self.journal.ended)
    @rule(size=sizes)
    def append_late(self, size: int) -> None:
        self._append(late(size))

    @rule()
    def keep(self) -> None:
        self.shelf.take(self.journal)
        assert self.journal.told_seq == len(self.expected)

    @rule(step=st.integers(-100_000, 100_000))
    def jump(self, step: int) -> None:
        self.now += step

    @rule(target=cursors, after=st.integers(-2, 60))
    def open_cursor(self, after: int) -> list[int]:
        return [min(after, len(self.expected))]

    @rule(cursor=cursors, most=st.sampled_from([1, SEGMENT, MEMORY, 1 << 20]))
    def read_on(self, cursor: list[int], most: int) -> None:
        found = now(self.journal.read(cursor[0], most))
        start = max(cursor[0], 0)
        assert found.first == start + 1
        assert found.records == self.expected[start : start + len(found.records)]
        assert bool(found.records) == (start < self.journal.told_seq)
        assert sum(map(len, found.records[:-1])) < most
        cursor[0] = found.last

    @invariant()
    def counts_are_right(self) -> None:
        assert self.journal.last_seq == len(self.expected)
        assert self.journal.size == sum(len(record) + 1 for record in self.expected)

    @invariant()
    def memory_is_bounded(self) -> None:
        kept = sum(len(record) + 1 for record in self.expected[: self.journal._kept_seq])
        assert self.journal.in_memory <= self.journal.size - kept + MEMORY + SEGMENT + 2 * self.largest

    @invariant()
    def everything_reads_back(self) -> None:
        assert read_all(self.journal, most=SEGMENT) == self.expected[: self.journal.told_seq]


TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@settings(max_examples=60, deadline=None)
@given(
    appended=st.lists(sizes, max_size=25),
    late_sizes=st.lists(sizes, max_size=4),
    starts=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    paces=st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_every_follower_sees_everything_once(
    appended: list[int], late_sizes: list[int], starts: list[int], paces: list[int]
) -> None:
    """Followers from several cursors, of which each reads at its own pace while the writer writes."""

    async def scenario() -> None:
        shelf = MemoryShelf()
        journal = Journal(shelf)
        read: dict[int, list[Slice]] = {}

        async def follow(number: int, after: int, pace: int) -> None:
            read[number] = []
            async for found in journal.follow(after):
                read[number].append(found)
                for _ in range(pace):
                    await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as readers:
            for number, after in enumerate(starts):
                readers.start_soon(follow, number, after, paces[number % len(paces)])
            for size in appended:
                journal.append(text(size))
                if size % 2:
                    shelf.take(journal)
                await anyio.lowlevel.checkpoint()
            end = journal.append(END)
            for size in late_sizes:
                journal.append(late(size))
            shelf.take(journal)
        for number, after in enumerate(starts):
            expected = range(after + 1, end + 1) if after < end else range(after + 1, journal.last_seq + 1)
            assert seqs(*read[number]) in (list(expected), [])
            assert after >= end or seqs(*read[number]) == list(expected)
        again = [found async for found in journal.follow(end)]
        assert seqs(*again) == list(range(end + 1, journal.last_seq + 1))

    anyio.run(scenario)
