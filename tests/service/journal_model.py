"""What a journal is checked against: a plain list of what was appended, and small bounds that are soon met."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from execd.events import Complete, Status, Stdout
from execd.service import execution as using
from execd.service import journal as module
from execd.service.journal import Journal, Slice

SEGMENT = 400
MEMORY = 1600
ENDED_MEMORY = 300

END = Complete(Status.SUCCEEDED)


@contextmanager
def small_bounds() -> Iterator[None]:
    """Bounds of a few records, so that a few appends reach the spool."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT_BYTES", SEGMENT)
        patch.setattr(module, "MEMORY_BYTES", MEMORY)
        patch.setattr(module, "ENDED_MEMORY_BYTES", ENDED_MEMORY)
        patch.setattr(using, "MEMORY_BYTES", MEMORY)
        yield


T = TypeVar("T")


def now(waiting: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        waiting.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("it waits for something")


class MemoryShelf:
    """A store that has room for `room` bytes, and takes what a journal has when the test says so."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.noted = 0
        self.rows: list[Slice] = []

    def note(self) -> None:
        """Something is to be kept."""
        self.noted += 1

    async def read(self, after: int, most: int) -> Slice:
        """As the store does: the rest of one row."""
        for row in self.rows:
            if row.last > after:
                skipped = max(after + 1 - row.first, 0)
                return Slice(row.first + skipped, module._first_bytes(row.records, skipped, most))
        return Slice(after + 1, [])

    def take(self, journal: Journal) -> None:
        """Keep what the journal has, as far as there is room."""
        found = journal.unkept()
        size = sum(len(record) + 1 for record in found.records)
        if size > self.room:
            journal.not_kept()
            return
        self.room -= size
        if found.records:
            self.rows.append(found)
        journal.kept(found.last)


def text(size: int) -> Stdout:
    return Stdout("x" * size)


def late(size: int) -> Stdout:
    return Stdout("l" * size, late=True)


def decoded(*slices: Slice) -> list[dict[str, Any]]:
    return [json.loads(record) for found in slices for record in found.records]


def seqs(*slices: Slice) -> list[int]:
    """The numbers that the records themselves carry, which must be those that their place says."""
    for found in slices:
        assert [each["seq"] for each in decoded(found)] == list(range(found.first, found.last + 1))
    return [each["seq"] for each in decoded(*slices)]


def read_all(journal: Journal, after: int = 0, most: int = 1) -> list[bytes]:
    """Every record after `after`, read in small steps."""
    records: list[bytes] = []
    while (found := now(journal.read(after, most))).records:
        records += found.records
        after = found.last
    return records
