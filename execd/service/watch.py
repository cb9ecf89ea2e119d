"""Watching folders: what is created, modified and deleted in them, as it happens, as a stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import anyio
import anyio.to_thread

from execd.errors import TooManyWatches
from execd.isolation.root import Root
from execd.isolation.shown import shown
from execd.service.folder_watch import Change, Changes, FolderWatch
from execd.service.journal import Slice, now_ms
from execd.service.landing import TEMPORARY_PREFIX

MOST_WATCHES = 64

# A change is told once nothing more has come for a step, or when it has waited for the longest time.
_STEP_SECONDS = 0.02
_LONGEST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class FileChange:
    """One change of one path."""

    change: Change
    path: str


class Watches:
    """The folders of a sandbox that are being watched. There may only be so many."""

    def __init__(self, root: Root, most: int = MOST_WATCHES) -> None:
        self._root = root
        self._most = most
        self._open: set[FolderWatch] = set()
        self._waiting: set[anyio.CancelScope] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    async def start(self, folder: PurePath, recursive: bool) -> AsyncGenerator[Slice, None]:
        """Watch a folder; when this returns, no later change is missed. The records are encoded events: `init`, then
        the changes. They end when the folder is gone, or with `close`.

        Raises FileNotFound, NotADirectory, TooManyWatches, NoWatchLeft and the other file errors.
        """
        records = self._records(folder, recursive)
        # Begun here, so that it is also ended here when nobody ever reads it.
        return _chained(await anext(records), records)

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        for scope in self._waiting:
            scope.cancel()

    async def _records(self, folder: PurePath, recursive: bool) -> AsyncGenerator[Slice, None]:
        if len(self._open) >= self._most:
            raise TooManyWatches(self._most)
        watch = FolderWatch(self._root, folder, recursive)
        self._open.add(watch)
        try:
            await anyio.to_thread.run_sync(watch.begin)
            yield Slice(1, [_record("init", shown(folder))])
            seq = 2
            while not (watch.ended or self._closed):
                changes = await self._changes(watch)
                if changes:
                    yield Slice(seq, [_record(change.change.type, change.path) for change in changes])
                    seq += len(changes)
        finally:
            watch.close()
            self._open.discard(watch)

    async def _changes(self, watch: FolderWatch) -> list[FileChange]:
        found: Changes = set()
        longest = anyio.current_time() + _LONGEST_SECONDS
        wait = anyio.CancelScope()
        while await self._readable(watch, wait):
            if not found:
                longest = anyio.current_time() + _LONGEST_SECONDS
            found |= await anyio.to_thread.run_sync(watch.read)
            if watch.ended or anyio.current_time() >= longest:
                break
            wait = anyio.move_on_after(_STEP_SECONDS)
        return await anyio.to_thread.run_sync(partial(in_order, found, self._is_there)) if found else []

    async def _readable(self, watch: FolderWatch, wait: anyio.CancelScope) -> bool:
        if self._closed:
            return False
        with wait:
            self._waiting.add(wait)
            try:
                await anyio.wait_readable(watch.fd)
            finally:
                self._waiting.discard(wait)
        return not wait.cancelled_caught

    def _is_there(self, path: str) -> bool:
        return self._root.is_there(PurePath(path))


async def _chained(first: Slice, rest: AsyncGenerator[Slice, None]) -> AsyncGenerator[Slice, None]:
    async with aclosing(rest):
        yield first
        async for found in rest:
            yield found


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
