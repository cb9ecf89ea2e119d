"""The journal: the numbered, append-only log of one execution. Everything that leaves execd is read from here.

    append ──▶ segments in memory ──(a batch, at most 50 ms later)──▶ the store ──▶ older segments leave memory
                    ▲                                                     ▲
                    └───────────── follow(after=seq) ─────────────────────┘

A record is one encoded event (see execd.events). Memory stays bounded whatever is appended and however slowly it is
read or kept: who writes is to wait while the journal is `full`. Readers are independent of each other and of the
writer; each keeps only its cursor, the seq of the last record that it has seen.

Three things are told to nobody before they are kept: that the execution exists (the first record), how it ended (the
terminal one and what follows), and a seq beyond those that are reserved. A service that takes over after a sudden end
goes on above what was reserved, so no seq ever stands for two events; the hole is announced by an event.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from execd.events import Complete, Event, encode

SEGMENT_BYTES = 256 * 1024
MEMORY_BYTES = 1024 * 1024
ENDED_MEMORY_BYTES = 16 * 1024
PRESSING_BYTES = 1024 * 1024
FULL_BYTES = 4 * PRESSING_BYTES
OVERFULL_BYTES = 4 * FULL_BYTES
RESERVED = 65536
"""How many seqs beyond those that are kept may be told to readers."""


class JournalEnded(Exception):
    """A second terminal event, or an event that is not marked late, after the end."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records; the first one's seq is `first`."""

    first: int
    records: list[bytes]

    @property
    def last(self) -> int:
        """The seq of the last record, or `first - 1` when there is none."""
        return self.first + len(self.records) - 1


class Shelf(Protocol):
    """Where an execution's records are kept."""

    def note(self) -> None:
        """There is something to be kept: `Journal.unkept` has it, and `kept` or `not_kept` is to be called then."""

    async def read(self, after: int, most: int) -> Slice:
        """Kept records after the seq `after`, about `most` bytes but some if there are any. Raises StorageFull."""


@dataclass(slots=True)
class _Segment:
    """Consecutive records in memory, `first` the seq of the first."""

    first: int
    records: list[bytes]
    size: int = 0

    @property
    def end(self) -> int:
        """The seq after the last."""
        return self.first + len(self.records)


def now_ms() -> int:
    """The wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Journal:
    """One execution's log. `append` never waits; what cannot be kept shows as `storage_failed`, and stays in memory.

    `size` counts the bytes of all records and their line ends, `in_memory` those that are in memory. Without a shelf
    all of it is there.
    """

    def __init__(self, shelf: Shelf | None = None, clock: Callable[[], int] = now_ms) -> None:
        self.clock = clock
        self.in_memory = 0
        self.last_seq = 0
        self.end_seq: int | None = None
        self.size = 0
        self.storage_failed = False
        self.left = False
        """Whether who follows it is to go on at a later service."""
        self._shelf = shelf
        self._segments: deque[_Segment] = deque()
        self._last_timestamp = 0
        self._kept_seq = 0
        self._taken_seq = 0
        self._untaken_bytes = 0
        self._taken_bytes = 0
        self._room: list[Callable[[], None]] = []
        self._news: anyio.Event | None = None

    @classmethod
    def restored(cls, shelf: Shelf, last_seq: int, end_seq: int | None, size: int, reserved: int) -> Journal:
        """One that the store has. If it has not ended, it goes on above what was reserved."""
        journal = cls(shelf)
        journal.last_seq = last_seq if end_seq is not None else max(reserved, last_seq)
        journal.end_seq, journal.size = end_seq, size
        journal._kept_seq = journal._taken_seq = journal.last_seq
        return journal

    @property
    def ended(self) -> bool:
        """Whether the terminal event is in."""
        return self.end_seq is not None

    @property
    def pressing(self) -> bool:
        """Whether so much waits to be taken that it should be now."""
        return self._untaken_bytes > PRESSING_BYTES

    @property
    def full(self) -> bool:
        """Whether so much is not kept yet that nothing more should come."""
        return self._unkept_bytes > FULL_BYTES

    @property
    def overfull(self) -> bool:
        """Whether more has come all the same."""
        return self._unkept_bytes > OVERFULL_BYTES

    @property
    def _unkept_bytes(self) -> int:
        return 0 if self._shelf is None or self.storage_failed else self._untaken_bytes + self._taken_bytes

    def when_room(self, call: Callable[[], None]) -> None:
        """Call this, once, when it is not full any more, or cannot be kept anyway; asking again changes nothing."""
        if call not in self._room:
            self._room.append(call)

    @property
    def safe_seq(self) -> int:
        """The seq up to which nothing can be lost any more, or nothing more can be done for it."""
        return self.last_seq if self._shelf is None or self.storage_failed else min(self._kept_seq, self.last_seq)

    @property
    def told_seq(self) -> int:
        """The seq up to which readers are told."""
        if self._shelf is None or self.storage_failed:
            return self.last_seq
        if not self._kept_seq:
            return 0
        if self.end_seq is not None and self._kept_seq < self.end_seq:
            return min(self.end_seq - 1, self._kept_seq + RESERVED)
        return min(self.last_seq, self._kept_seq + RESERVED)

    def append(self, event: Event) -> int:
        """Add an event; returns its seq. After the end only late events may follow, else JournalEnded."""
        if self.ended and (not event.late or isinstance(event, Complete)):
            raise JournalEnded(f"{event.type} after the end")
        record = encode(event, self.last_seq + 1, self._timestamp())
        self.last_seq += 1
        self._store(record)
        if isinstance(event, Complete):
            self.end_seq = self.last_seq
        self.note()
        self._tell()
        return self.last_seq

    def note(self) -> None:
        """There is something to be kept, in the journal or about what it is the journal of."""
        if self._shelf is not None:
            self._shelf.note()

    def unkept(self) -> Slice:
        """The records that nobody has taken to keep them. They count as taken now."""
        first = self._taken_seq + 1
        records: list[bytes] = []
        for segment in self._segments:
            if segment.end > first:
                records += segment.records[max(first - segment.first, 0) :]
        self._taken_seq = self.last_seq
        self._taken_bytes += self._untaken_bytes
        self._untaken_bytes = 0
        return Slice(self.last_seq + 1 - len(records), records)

    def kept(self, seq: int) -> None:
        """The records up to this one are kept now."""
        self._kept_seq = max(seq, self._kept_seq)
        if self._kept_seq >= self._taken_seq:
            self._taken_bytes = 0
        self.storage_failed = False
        self._drop()
        self._tell()
        self._tell_of_room()

    def not_kept(self) -> None:
        """What was taken is not kept; it is to be taken again."""
        self._taken_seq = self._kept_seq
        self._taken_bytes = 0
        self.storage_failed = True
        self._tell()
        self._tell_of_room()

    async def read(self, after: int, most: int = MEMORY_BYTES) -> Slice:
        """Records after the seq `after`, cut after about `most` bytes but never empty if there are any, and they have
        not been removed. Raises StorageFull when they cannot be read."""
        after, told = max(after, 0), self.told_seq
        if after >= told:
            return Slice(after + 1, [])
        in_memory_from = self._segments[0].first if self._segments else self.last_seq + 1
        if after + 1 < in_memory_from and self._shelf is not None:
            found = await self._shelf.read(after, most)
            if found.records:
                return until(found, told)
        return until(self._in_memory(after, most), told)

    async def follow(self, after: int = 0) -> AsyncGenerator[Slice, None]:
        """Records after `after` as they come, until the terminal one; from that one on, the late ones so far. Ends
        early where what should be there has been removed."""
        late_only = self._over(after)
        while True:
            expected = self.told_seq > after
            found = await self.read(after)
            if not late_only:
                found = self._until_end(found)
            if found.records:
                yield found
                after = found.last
            elif expected:
                return
            if self._over(after) and not (late_only and found.records):
                return
            if not found.records and self.told_seq <= after:
                if self.left:
                    return
                await self._more()

    def leave(self) -> None:
        """Leave it to a later service: who follows it has what there is, and is to go on there."""
        self.left = True
        self._tell()

    def _in_memory(self, after: int, most: int) -> Slice:
        for segment in self._segments:
            if segment.end > after + 1:
                skipped = max(after + 1 - segment.first, 0)
                return Slice(segment.first + skipped, _first_bytes(segment.records, skipped, most))
        return Slice(after + 1, [])

    def _over(self, after: int) -> bool:
        return self.end_seq is not None and after >= self.end_seq

    def _until_end(self, found: Slice) -> Slice:
        return found if self.end_seq is None else until(found, self.end_seq)

    async def _more(self) -> None:
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _timestamp(self) -> int:
        self._last_timestamp = max(self._last_timestamp, self.clock())
        return self._last_timestamp

    def _store(self, record: bytes) -> None:
        if not self._segments or self._segments[-1].size >= SEGMENT_BYTES:
            self._segments.append(_Segment(self.last_seq, []))
        segment = self._segments[-1]
        segment.records.append(record)
        segment.size += len(record) + 1
        self.size += len(record) + 1
        self._untaken_bytes += len(record) + 1
        self.in_memory += len(record) + 1

    def _drop(self) -> None:
        # The newest full segment stays while the execution runs: a reader that keeps up never asks the store.
        over = self.ended and self._kept_seq >= self.last_seq
        room, least = (ENDED_MEMORY_BYTES, 0) if over else (MEMORY_BYTES, 2)
        while len(self._segments) > least and self.in_memory > room and self._segments[0].end - 1 <= self._kept_seq:
            self.in_memory -= self._segments.popleft().size

    def _tell_of_room(self) -> None:
        if not self.full:
            calls, self._room = self._room, []
            for call in calls:
                call()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


def until(found: Slice, seq: int) -> Slice:
    """What there is up to this seq."""
    if found.last <= seq:
        return found
    return Slice(found.first, found.records[: max(seq - found.first + 1, 0)])


def _first_bytes(records: list[bytes], skipped: int, most: int) -> list[bytes]:
    size = 0
    for place in range(skipped, len(records)):
        size += len(records[place])
        if size >= most:
            return records[skipped : place + 1]
    return records[skipped:]
