"""Which files of a workspace changed while a run was under way.

Looking at all files before and after each run would cost 60 ms where there are 10,000. So a watch (inotify) stays on
the workspace from its first run on, and is read when a run begins and when it ends: what was touched before the begin
is nobody's, what is touched until the end is the run's. Where nothing was touched that takes microseconds. A run of
which the watch cannot know everything (more notices than the kernel keeps, more folders than it lets be watched) is
looked after by one scan at its end, for what has changed since its begin.

What is promised:

- What the code of a run creates, overwrites or moves there until the run has ended is found, whatever it does to the
  times of the file; so is what is written through a mapping that is closed by then.
- What changed between two runs is neither's.
- inotify does not tell who touched a file: what changes during a run is the run's, be it the work of a command, a
  terminal or an upload. Of runs that overlap in one workspace *each* has what changed while it was under way: a file
  may be listed twice, and none is missed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath

import anyio
import structlog
from anyio import to_thread

from execd.errors import ExecdError
from execd.isolation.root import Root
from execd.service.workspace_scan import ScanTooLong, changed_since, moment
from execd.service.workspace_watch import Touched, WorkspaceWatch

log = structlog.get_logger(__name__)

SCAN_SECONDS = 0.5

# After a watch that could not be had it is tried again this much later, in seconds.
_UNWATCHED_FOR = 60.0


@dataclass(eq=False, slots=True)
class Span:
    """The time from a run's begin to its end. `touched` is what was touched in it, as far as it is `complete`."""

    since: int
    touched: Touched = field(default_factory=Touched)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Candidates:
    """Paths, relative to the workspace, in order. Those in `perhaps` count if they were modified after `since` (ns).
    Whether each is a file, and still there, is to be seen. `all_seen` is False where there was no time to look."""

    written: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()
    since: int = 0
    all_seen: bool = True

    def __bool__(self) -> bool:
        return bool(self.written or self.perhaps)


class WorkspaceChanges:
    """The changes of one sandbox's workspace. Any number of runs may be under way."""

    def __init__(
        self,
        root: Root,
        workspace: PurePath,
        watch: Callable[[Root, PurePath], WorkspaceWatch] = WorkspaceWatch,
        scan_seconds: float = SCAN_SECONDS,
    ) -> None:
        self._root = root
        self._workspace = workspace
        self._new_watch = watch
        self._scan_seconds = scan_seconds
        self._watch: WorkspaceWatch | None = None
        self._unwatched_until = 0.0
        self._open: set[Span] = set()
        self._reading = anyio.Lock()
        self._closed = False

    async def begin(self, began: int | None = None) -> Span:
        """A run is about to begin. What changes from now on is in its span. Of one that was begun already, at a time in
        nanoseconds, before anybody watched, what has changed since then is found by a scan at its end."""
        async with self._reading:
            await self._absorb()
            if self._watch is None and not self._closed and time.monotonic() >= self._unwatched_until:
                await to_thread.run_sync(self._start)
            span = Span(began or moment(), complete=self._watch is not None and began is None)
            self._open.add(span)
            return span

    async def end(self, span: Span) -> Candidates:
        """The run has ended; what changed since its begin."""
        async with self._reading:
            await self._absorb()
            self._open.discard(span)
        if span.complete:
            return candidates(span.touched, span.since)
        return await to_thread.run_sync(partial(self._scan, span.since))

    def forget(self, span: Span) -> None:
        """The run has ended, and nobody wants to know. Safe to call twice, and after `end`."""
        self._open.discard(span)

    def close(self) -> None:
        """Watch no more. Safe to call twice."""
        self._closed = True
        self._drop()

    async def _absorb(self) -> None:
        if self._watch is None or self._watch.quiet():
            return
        touched = await to_thread.run_sync(self._read, self._watch)
        for span in self._open:
            span.touched.written |= touched.written
            span.touched.perhaps |= touched.perhaps
        if not self._watch.complete:
            self._drop()

    def _read(self, watch: WorkspaceWatch) -> Touched:
        try:
            return watch.read()
        except (OSError, ExecdError):
            watch.complete = False
            return Touched()

    def _start(self) -> None:
        watch = None
        try:
            watch = self._new_watch(self._root, self._workspace)
            watch.begin()
        except (OSError, ExecdError) as error:
            log.info("workspace_not_watched", why=str(error))
        if watch is not None and watch.complete:
            self._watch = watch
            return
        self._unwatched_until = time.monotonic() + _UNWATCHED_FOR
        if watch is not None:
            watch.close()

    def _drop(self) -> None:
        for span in self._open:
            span.complete = False
            span.touched = Touched()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _scan(self, since: int) -> Candidates:
        try:
            found = changed_since(self._root, self._workspace, since, self._scan_seconds)
        except ScanTooLong:
            return Candidates(all_seen=False)
        except (OSError, ExecdError):
            # Who has no workspace left has left nothing in it.
            return Candidates()
        return Candidates(tuple(found), since=since)


def candidates(touched: Touched, since: int) -> Candidates:
    """What was touched, in order, and nothing twice."""
    return Candidates(_ordered(touched.written), _ordered(touched.perhaps - touched.written), since)


def _ordered(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))
