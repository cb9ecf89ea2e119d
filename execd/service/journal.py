"""The journal: the numbered, append-only log of one execution. Everything that leaves execd is read from here.

    append ──▶ open segment ──(256 KiB)──▶ sealed segments in memory ──(1 MiB)──▶ spool file
                    ▲                               ▲                                 ▲
                    └───────────────────── follow(after=seq) ────────────────────────┘

A record is one encoded event (see execd.events). Memory stays bounded whatever is appended and however slowly it is
read: older segments live in the spool, a file. Readers are independent of each other and of the writer; each keeps
only its cursor, the seq of the last record that it has seen.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio

from execd.errors import StorageFull
from execd.events import Complete, Event, encode
from execd.service.spool import Spool

SEGMENT_BYTES = 256 * 1024
MEMORY_BYTES = 1024 * 1024
ENDED_MEMORY_BYTES = 16 * 1024


class JournalEnded(Exception):
    """A second terminal event, or an event that is not marked late, after the end."""


@dataclass(slots=True)
class _Segment:
    """Consecutive records, `first` the seq of the first; in memory (`records`) or in the spool at `offset`."""

    first: int
    count: int = 0
    size: int = 0
    records: list[bytes] | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive records; the first one's seq is `first`."""

    first: int
    records: list[bytes]

    @property
    def last(self) -> int:
        """The seq of the last record, or `first - 1` when there is none."""
        return self.first + len(self.records) - 1


def now_ms() -> int:
    """The wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Journal:
    """One execution's log. `append` never waits; a full disk shows as `storage_failed`, and nothing is lost by it.

    `size` counts the bytes of all records and their line ends, `in_memory` those that are not in the spool.
    """

    def __init__(self, spool: Spool, clock: Callable[[], int] = now_ms) -> None:
        self._spool = spool
        self.clock = clock
        self._segments = [_Segment(first=1, records=[])]
        self.in_memory = 0
        self._last_timestamp = 0
        self._news: anyio.Event | None = None
        self._spilled = 0
        self._followers = 0
        self._removed = False
        self.last_seq = 0
        self.end_seq: int | None = None
        self.size = 0
        self.storage_failed = False

    @property
    def ended(self) -> bool:
        """Whether the terminal event is in."""
        return self.end_seq is not None

    def append(self, event: Event) -> int:
        """Add an event; returns its seq. After the end only late events may follow, else JournalEnded."""
        if self.ended and (not event.late or isinstance(event, Complete)):
            raise JournalEnded(f"{event.type} after the end")
        record = encode(event, self.last_seq + 1, self._timestamp())
        self.last_seq += 1
        self._store(record)
        if isinstance(event, Complete):
            self.end_seq = self.last_seq
        self._tell()
        return self.last_seq

    def read(self, after: int, most: int = MEMORY_BYTES) -> Slice:
        """Records after the seq `after`: all of one segment, cut after about `most` bytes but never empty if there
        are any."""
        after = max(after, 0)
        if after >= self.last_seq:
            return Slice(after + 1, [])
        segment = self._segments[bisect_right(self._segments, after + 1, key=lambda found: found.first) - 1]
        records = self._records_of(segment)[after + 1 - segment.first :]
        return Slice(after + 1, _first_bytes(records, most))

    async def follow(self, after: int = 0) -> AsyncIterator[Slice]:
        """Records after `after` as they come, until the terminal one; from that one on, the late ones so far."""
        self._followers += 1
        try:
            async for found in self._follow(after):
                yield found
        finally:
            self._followers -= 1
            self._seal_if_done()

    async def _follow(self, after: int) -> AsyncIterator[Slice]:
        late_only = self._over(after)
        while True:
            found = self.read(after)
            if not late_only:
                found = self._until_end(found)
            if found.records:
                yield found
                after = found.last
            if self._over(after) and not (late_only and found.records):
                return
            if not found.records:
                await self._more()

    def settle(self) -> None:
        """After the end: move what is left in memory to the spool, but for a little, and close its descriptor."""
        if self.size > ENDED_MEMORY_BYTES:
            self._spill(keep=0)
        self._spool.seal()

    def remove(self) -> None:
        """Remove the spool. Who follows reads on; for others, reading spilled records fails from then on."""
        self._removed = True
        self._spool.remove()
        self._seal_if_done()

    def _seal_if_done(self) -> None:
        if self._removed and not self._followers:
            self._spool.seal()

    def _over(self, after: int) -> bool:
        return self.end_seq is not None and after >= self.end_seq

    def _until_end(self, found: Slice) -> Slice:
        if self.end_seq is None or found.last <= self.end_seq:
            return found
        return Slice(found.first, found.records[: max(self.end_seq - found.first + 1, 0)])

    async def _more(self) -> None:
        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _timestamp(self) -> int:
        self._last_timestamp = max(self._last_timestamp, self.clock())
        return self._last_timestamp

    def _store(self, record: bytes) -> None:
        segment = self._open_segment()
        assert segment.records is not None
        segment.records.append(record)
        segment.count += 1
        segment.size += len(record) + 1
        self.size += len(record) + 1
        self.in_memory += len(record) + 1
        if segment.size >= SEGMENT_BYTES:
            self._segments.append(_Segment(first=self.last_seq + 1, records=[]))
            # The newest sealed segment stays: a reader that keeps up never touches the file.
            self._spill(keep=2)

    def _open_segment(self) -> _Segment:
        if self._segments[-1].records is None:
            self._segments.append(_Segment(first=self.last_seq, records=[]))
        return self._segments[-1]

    def _spill(self, keep: int) -> None:
        if self.storage_failed or (keep and self.in_memory <= MEMORY_BYTES):
            return
        try:
            while self._spilled < len(self._segments) - keep:
                self._spill_one(self._segments[self._spilled])
                self._spilled += 1
        except StorageFull:
            self.storage_failed = True

    def _spill_one(self, segment: _Segment) -> None:
        assert segment.records is not None
        segment.offset = self._spool.append(b"\n".join([*segment.records, b""]))
        segment.records = None
        self.in_memory -= segment.size

    def _records_of(self, segment: _Segment) -> list[bytes]:
        if segment.records is not None:
            return segment.records
        return self._spool.read(segment.offset, segment.size).split(b"\n")[:-1]

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


def _first_bytes(records: list[bytes], most: int) -> list[bytes]:
    size = 0
    for count, record in enumerate(records):
        size += len(record)
        if size >= most:
            return records[: count + 1]
    return records[:]
