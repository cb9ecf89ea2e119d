"""An execution: one piece of work, its record and its journal. It belongs to no request; requests only look at it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from execd.events import (
    Complete,
    Error,
    Event,
    ExecutionCount,
    Init,
    InputRequest,
    Reason,
    Status,
    StatusChanged,
)
from execd.kernel.request import ExecuteRequest
from execd.service.announcement import AWAITING, Announcement
from execd.service.budget import OutputBudget
from execd.service.failures import shortened
from execd.service.journal import MEMORY_BYTES, Journal, Slice
from execd.service.tail import EVENT_OVERHEAD, byte_size
from execd.waiting import Occasion

DEFAULT_SANDBOX = "default"
DEFAULT_TENANT = "default"
"""Whose everything is while there are no keys."""

# How a run ends that was under way when the service did, and of whose end nobody knows.
SERVICE_GONE = Error("ServiceRestarted", "the service ended while this ran; how it ended is not known")

_LATE_BYTES = 256 * 1024

# In the detail: for how long it was parked since it was started, in ms, and since when it is.
_PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who an execution is and where it belongs. A command belongs to no context; its language is `command`. `dialect`
    is the API that it came by, and `detail` what only that knows of it; with the same `key` none is made again. What
    becomes of it is told to the `webhook_url`, if there is one."""

    execution_id: str
    context_id: str | None
    language: str
    sandbox_id: str = DEFAULT_SANDBOX
    tenant: str = DEFAULT_TENANT
    dialect: str = "execd"
    detail: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """By which API an execution was asked for, and what only that knows of it. With the same `key` none is made
    again. What becomes of it is told to the `webhook_url`, if there is one."""

    dialect: str = "execd"
    detail: dict[str, Any] = field(default_factory=dict)
    key: str | None = None
    webhook_url: str | None = None


def _no_matter(_event: Event) -> None:
    return


def _unseen(_execution: Execution) -> Mapping[str, Any]:
    return {}


def _nothing() -> None:
    return


def monotonic_ms() -> int:
    """Milliseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1_000_000


class Source(Protocol):
    """Where events come from."""

    def hold(self) -> None:
        """Take no more from there until `go_on`. Safe to call twice."""

    def go_on(self) -> None:
        """Take what comes. Nothing where it is not held."""


class IllegalTransition(Exception):
    """A status that cannot follow the present one: a defect of execd."""


_NEXT: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset(
        {Status.AWAITING_APPROVAL, Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.REJECTED}
    ),
    Status.AWAITING_APPROVAL: frozenset(
        {Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.REJECTED}
    ),
    Status.RUNNING: frozenset(
        {Status.AWAITING_APPROVAL, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.REJECTED}
    ),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.REJECTED: frozenset(),
}


def may_follow(before: Status, after: Status) -> bool:
    """Whether an execution may go from one status to the other."""
    return after in _NEXT[before]


@dataclass(frozen=True, slots=True)
class Restored:
    """What the store knows of an execution that changes while it lives."""

    status: Status
    created_at: int
    started_at: int | None
    cancel_requested_at: int | None
    finished_at: int | None
    execution_count: int | None
    duration_ms: int
    error: Error | None
    complete: Complete | None
    trace: dict[str, Any] | None
    webhook_delivery: str | None


class Execution:
    """One run in a context. Its times are Unix milliseconds and never go backwards; how long it took is measured by
    `stopwatch`, whatever becomes of the wall clock meanwhile.

    `ended` is set when its end is kept, or cannot be; `on_end` is called before that, when it has come."""

    def __init__(
        self,
        origin: Origin,
        request: ExecuteRequest,
        journal: Journal,
        budget: OutputBudget,
        on_end: Callable[[Execution], None],
        stopwatch: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.id = origin.execution_id
        self.context_id = origin.context_id
        self.language = origin.language
        self.sandbox_id = origin.sandbox_id
        self.origin = origin
        self.request = request
        self.journal = journal
        self.status = Status.QUEUED
        self.position = 0
        self.execution_count: int | None = None
        self.error: Error | None = None
        self.complete: Complete | None = None
        self.awaiting_input = False
        self.created_at = journal.clock()
        self.started_at: int | None = None
        self.cancel_requested_at: int | None = None
        self.finished_at: int | None = None
        self.trace: dict[str, Any] | None = None
        self.webhook_delivery = None if origin.webhook_url is None else "pending"
        """What has become of telling its end to the URL that it has named for that."""
        self.announcements: list[Announcement] = []
        """What webhooks are to be told of it, until that is kept."""
        self.portray: Callable[[Execution], Mapping[str, Any]] = _unseen
        """How it is shown to webhooks as it stands."""
        self.rejected = False
        """Somebody has rejected what it was to do: it ends so, unless it is cancelled, or lost before it can."""
        self.listener: Callable[[Event], None] = _no_matter
        """Is told of each event of the running code before it is journaled, and of the end before that is."""
        self.clock_changed: Callable[[], None] = _nothing
        """Is called when its time stands still, and when that goes on."""
        self.cancel_requested = Occasion()
        self.ended = Occasion()
        self.parked = Occasion()
        """Set while it waits until somebody has approved."""
        self._budget = budget
        self._on_end = on_end
        self._stopwatch = stopwatch
        self._began: int | None = None
        self._took: int | None = None
        self._parked_at: int | None = None
        self._parked_ms = 0
        self._late_room = _LATE_BYTES
        self._untold_count: int | None = None

    @classmethod
    def new(
        cls,
        origin: Origin,
        request: ExecuteRequest,
        journal: Journal,
        budget: OutputBudget,
        on_end: Callable[[Execution], None],
        stopwatch: Callable[[], int] = monotonic_ms,
    ) -> Execution:
        """One that begins now, with its first event."""
        made = cls(origin, request, journal, budget, on_end, stopwatch)
        journal.append(Init(made.id, made.context_id))
        return made

    def __repr__(self) -> str:
        return f"<Execution {self.id} {self.status} in {self.context_id}, {self.journal.last_seq} events>"

    def wait_in_line(self, position: int) -> None:
        """Say how many runs are ahead."""
        if position != self.position:
            self.position = position
            self.journal.append(StatusChanged("queued", position))

    def start(self) -> None:
        """From queued to running; only a run that waited says so in its journal."""
        waited = self.position > 0
        self._become(Status.RUNNING)
        self.position = 0
        self.started_at = max(self.journal.clock(), self.created_at)
        self._began = self._stopwatch()
        if waited:
            self.journal.append(StatusChanged("running"))
        else:
            self.journal.note()

    def settle(self, sandbox_id: str, context_id: str) -> None:
        """Belong there from now on: it was made before there was such a place."""
        self.sandbox_id, self.context_id = sandbox_id, context_id
        self.origin = replace(self.origin, sandbox_id=sandbox_id, context_id=context_id)
        self.journal.note()

    def park(self) -> None:
        """Wait until somebody has approved: before it starts, or in the middle, where its time limit stands still."""
        self._become(Status.AWAITING_APPROVAL)
        self._parked_at = self._stopwatch()
        now = self.journal.clock()
        self.origin.detail[_PARKED] = [self._parked_ms, now]
        self.announcements.append(Announcement(AWAITING, now, self.portray(self)))
        self.journal.append(StatusChanged(Status.AWAITING_APPROVAL.value))
        self.parked.set()
        self.clock_changed()

    def resume(self) -> None:
        """Go on where it was parked."""
        self._become(Status.QUEUED if self.started_at is None else Status.RUNNING)
        self._parked_ms, self._parked_at = self.parked_ms(), None
        self.origin.detail[_PARKED] = [self._parked_ms, None]
        self.parked = Occasion()
        self.journal.append(StatusChanged(self.status.value))
        self.clock_changed()

    def parked_ms(self) -> int:
        """How long it has been parked since it was started."""
        if self.started_at is None:
            return 0
        return self._parked_ms + (0 if self._parked_at is None else self._stopwatch() - self._parked_at)

    def emit(self, event: Event) -> None:
        """Journal an event of the running code, within the output budget. After the end it is journaled as late."""
        if self.journal.ended:
            self._emit_late(event)
            return
        self._note(event)
        self.listener(event)
        for admitted in self._budget.admit(event):
            self.journal.append(admitted)
        if self.journal.storage_failed and self.journal.in_memory > MEMORY_BYTES and not self._budget.exhausted:
            self._budget.exhaust()

    def pace(self, source: Source) -> None:
        """Let the source of its events wait while the journal is full."""
        if self.journal.full:
            source.hold()
            self.journal.when_room(source.go_on)

    def finish(self, complete: Complete, made: Sequence[Event] = ()) -> None:
        """The one end. Journals what the budget kept of the tail and the error, what was made of the run since, then
        the terminal event."""
        complete = self._judged(complete)
        self._become(complete.status)
        complete = replace(complete, execution_count=self._untold_count)
        self.listener(complete)
        for event in (*self._budget.settle(), *made):
            self.journal.append(event)
        self.complete = complete
        self.finished_at = max(self.journal.clock(), self.cancel_requested_at or self.started_at or self.created_at)
        self._took = self.elapsed_ms()
        self.announcements.append(Announcement(f"execution.{self.status}", self.finished_at))
        self.journal.append(complete)
        self.awaiting_input = False
        self._on_end(self)
        self.told()

    def restore(self, now: Restored) -> None:
        """Be what the store knows of it. Its clock of how long it takes goes on by the wall's."""
        self.status = now.status
        self.created_at, self.started_at, self.finished_at = now.created_at, now.started_at, now.finished_at
        self.cancel_requested_at = now.cancel_requested_at
        self.execution_count, self.error, self.complete = now.execution_count, now.error, now.complete
        self.trace, self.webhook_delivery = now.trace, now.webhook_delivery
        self._restore_parked()
        if self.complete is not None:
            self._took = now.duration_ms
        elif self.started_at is not None:
            self._began = self._stopwatch() - max(self.journal.clock() - self.started_at, 0)
        self.told()

    def _restore_parked(self) -> None:
        self._parked_ms, since = self.origin.detail.get(_PARKED, (0, None))
        if self.status is Status.AWAITING_APPROVAL:
            now = self.journal.clock()
            self._parked_at = self._stopwatch() - max(now - (now if since is None else since), 0)
            self.parked.set()

    def told(self) -> None:
        """More of the journal is kept, or cannot be: its end may be known now."""
        if self.journal.end_seq is not None and self.journal.told_seq >= self.journal.end_seq:
            self.ended.set()

    def fail(self, reason: Reason, error: Error) -> None:
        """End as failed without having come to an end of its own."""
        self.emit(StatusChanged("error"))
        self.emit(error)
        self.finish(Complete(Status.FAILED, reason, duration_ms=self.elapsed_ms()))

    def number(self, count: object) -> None:
        """Note the number of the cell. If no event has told it, the terminal one will."""
        if isinstance(count, int) and self.execution_count is None:
            self.execution_count = self._untold_count = count

    def would_journal(self, text: str) -> bool:
        """Whether this text, as the beginning of what comes next, would go to the journal whole."""
        return self._budget.fits(text)

    def elapsed_ms(self) -> int:
        """How long it has been running, 0 before that."""
        if self._took is not None:
            return self._took
        return 0 if self._began is None else self._stopwatch() - self._began

    def cancel(self) -> None:
        """Ask for its end. Whoever carries it out climbs the ladder; `ended` tells when it is over."""
        if self.cancel_requested_at is None and not self.journal.ended:
            self.cancel_requested_at = max(self.journal.clock(), self.started_at or self.created_at)
            self.journal.note()
        self.cancel_requested.set()

    def follow(self, after: int = 0) -> AsyncGenerator[Slice, None]:
        """The journal's records after the seq `after`, as they come."""
        return self.journal.follow(after)

    def _judged(self, complete: Complete) -> Complete:
        by_itself = complete.status is Status.SUCCEEDED or complete.reason is Reason.ERROR
        return replace(complete, status=Status.REJECTED, reason=None) if self.rejected and by_itself else complete

    def _become(self, status: Status) -> None:
        if not may_follow(self.status, status):
            raise IllegalTransition(f"{self.id}: {self.status} to {status}")
        self.status = status

    def _note(self, event: Event) -> None:
        match event:
            case Error():
                self.error = shortened(event)
                self.awaiting_input = False
            case ExecutionCount(count=count):
                self.execution_count = count
            case InputRequest():
                self.awaiting_input = True

    def _emit_late(self, event: Event) -> None:
        size = EVENT_OVERHEAD + byte_size(repr(event))
        if size > self._late_room:
            return
        self._late_room -= size
        self.journal.append(replace(event, late=True))
