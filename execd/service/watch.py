"""Watching a folder: what is created, modified and deleted in it, as it happens (inotify, through watchfiles)."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from watchfiles._rust_notify import RustNotify

from execd.errors import TooManyWatches
from execd.service.arrivals import Arrivals
from execd.service.journal import Slice, now_ms
from execd.service.landing import TEMPORARY_PREFIX
from execd.service.paths import check_folder, file_errors, shown

MOST_WATCHES = 64

# A change is told once nothing more has come for a step, or when it has waited for the longest time.
_STEP_MS = 20
_LONGEST_MS = 200
# How long a thread waits before it looks whether it is still wanted.
_ROUND_MS = 1000
_POLL_MS = 300

Result = TypeVar("Result")


class Change(IntEnum):
    """What happened to a path, with watchfiles' numbers."""

    CREATED = 1
    MODIFIED = 2
    DELETED = 3

    @property
    def type(self) -> str:
        """The name that events have."""
        return f"file_{self.name.lower()}"


@dataclass(frozen=True, slots=True)
class FileChange:
    """One change of one path."""

    change: Change
    path: str


class Watches:
    """The folders being watched. Each takes a thread of its own, so there may only be so many."""

    def __init__(self, most: int = MOST_WATCHES) -> None:
        self._most = most
        self._threads = anyio.CapacityLimiter(most)
        self._open: set[threading.Event] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    async def start(self, folder: Path, recursive: bool) -> AsyncIterator[Slice]:
        """Watch a folder; when this returns, no later change is missed. The records are encoded events: `init`, then
        the changes. They end when the folder is gone, or with `close`.

        Raises FileNotFound, NotADirectory, TooManyWatches and the other file errors.
        """
        records = self._records(folder, recursive)
        # Begun here, so that it is also ended here when nobody ever reads it.
        return _chained(await anext(records), records)

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        for stop in self._open:
            stop.set()

    async def _records(self, folder: Path, recursive: bool) -> AsyncGenerator[Slice, None]:
        if len(self._open) >= self._most:
            raise TooManyWatches(self._most)
        stop = threading.Event()
        self._open.add(stop)
        try:
            notify = await self._in_thread(partial(_begin, folder, recursive))
            arrivals = Arrivals() if recursive else None
            yield Slice(1, [_record("init", shown(folder))])
            seq = 2
            while not (stop.is_set() or self._closed):
                changes = await self._in_thread(partial(_wait, notify, stop, arrivals))
                if changes:
                    yield Slice(seq, [_record(change.change.type, change.path) for change in changes])
                    seq += len(changes)
                if FileChange(Change.DELETED, shown(folder)) in changes:
                    return
        finally:
            stop.set()
            self._open.discard(stop)

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        # A cancelled watch does not wait for its thread, which ends by itself once it sees that it should.
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)


async def _chained(first: Slice, rest: AsyncGenerator[Slice, None]) -> AsyncIterator[Slice]:
    async with aclosing(rest):
        yield first
        async for found in rest:
            yield found


def _begin(folder: Path, recursive: bool) -> RustNotify:
    with file_errors(folder):
        check_folder(folder)
        return RustNotify([os.fspath(folder)], False, False, _POLL_MS, recursive, True)


def _wait(notify: RustNotify, stop: threading.Event, arrivals: Arrivals | None) -> list[FileChange]:
    heard = notify.watch(_LONGEST_MS, _STEP_MS, _ROUND_MS, stop)
    changes = set() if isinstance(heard, str) else heard
    return in_order(changes if arrivals is None else arrivals.complete(changes), os.path.lexists)


def in_order(changes: Iterable[tuple[int, str]], exists: Callable[[str], bool]) -> list[FileChange]:
    """Changes that came together, sorted by path. What happened to one path is told in the order that fits how things
    are now: a path that exists was deleted before it was created. Our own half-written files are not told of."""
    ordered: list[FileChange] = []
    by_path: dict[str, list[Change]] = {}
    for number, path in changes:
        if not path.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
            by_path.setdefault(path, []).append(Change(number))
    for path, found in sorted(by_path.items()):
        sequence = sorted(found)
        if Change.DELETED in found and exists(path):
            sequence = [Change.DELETED, *sequence[:-1]]
        ordered += [FileChange(change, shown(path)) for change in sequence]
    return ordered


def _record(kind: str, path: str) -> bytes:
    return json.dumps({"type": kind, "path": path, "timestamp": now_ms()}, separators=(",", ":")).encode()
