"""Which sandboxes a list shows: filters, and pages of what is left. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from execd.service.record import SandboxRecord, SandboxStatus


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty: everything. One of the statuses, the image, and every one of the metadata."""

    statuses: frozenset[SandboxStatus] = frozenset()
    image: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def admits(self, record: SandboxRecord) -> bool:
        """Whether the list shows this one."""
        return (
            (not self.statuses or record.status in self.statuses)
            and self.image in ("", record.wanted.image)
            and all(name in record.metadata and record.metadata[name] == value for name, value in self.metadata.items())
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, from `first` (0 is the beginning) on, and how long the list is."""

    items: Sequence[SandboxRecord]
    first: int
    total: int

    @property
    def more(self) -> bool:
        """Whether others follow."""
        return self.first + len(self.items) < self.total


def page_of(records: Iterable[SandboxRecord], wanted: Filter, first: int, most: int) -> Page:
    """The page of what the filter admits, the newest first."""
    admitted = sorted((record for record in records if wanted.admits(record)), key=place_of, reverse=True)
    return Page(admitted[first : first + most], first, len(admitted))


def after(records: Iterable[SandboxRecord], wanted: Filter, last: str, most: int) -> tuple[list[SandboxRecord], str]:
    """Up to `most` of what the filter admits, the newest first, that come after the one with the id `last` (empty: from
    the beginning), and the id to go on after, empty at the end. `last` itself need not exist any more: its place is
    its creation, which stands before the id."""
    admitted = sorted((record for record in records if wanted.admits(record)), key=place_of, reverse=True)
    left = [record for record in admitted if not last or place_of(record) < last]
    return left[:most], place_of(left[most - 1]) if len(left) > most else ""


def place_of(record: SandboxRecord) -> str:
    """Where a sandbox stands in every list: by its creation, then by its id."""
    return f"{record.created_at:015d}-{record.id}"
