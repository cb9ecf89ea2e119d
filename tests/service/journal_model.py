"""What a journal is checked against: a plain list of what was appended, and small bounds that are soon met."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from execd.errors import StorageFull
from execd.events import Complete, Status, Stdout
from execd.service import journal as module
from execd.service.journal import Journal, Slice
from execd.service.spool import Spool

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
        yield


class FailingSpool(Spool):
    """A spool on a disk that has room for `room` bytes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self._room = room

    def append(self, data: bytes) -> int:
        """As on a full disk."""
        if self.size + len(data) > self._room:
            raise StorageFull("No space left on device")
        return super().append(data)


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
    while found := journal.read(after, most).records:
        records += found
        after += len(found)
    return records
