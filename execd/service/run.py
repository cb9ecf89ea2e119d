"""One run on a kernel: sent, watched, stopped where it must be, ended once.

What to do next is decided by `decide`, a pure function of what is known; `Run` does the I/O and wakes up whenever one
of the facts changes: the reply or the idle status came, the kernel died, somebody cancelled, a deadline passed.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
import structlog

from execd.events import (
    Complete,
    Error,
    Event,
    Interruption,
    Reason,
    Status,
    StatusChanged,
)
from execd.kernel.interpreter import Interpreter
from execd.kernel.ladder import Rung, Step, ladder
from execd.kernel.messages import MalformedMessage
from execd.kernel.process import describe_exit
from execd.kernel.request import PendingRequest
from execd.kernel.translate import error_of
from execd.service.execution import SERVICE_GONE, Execution
from execd.service.harvest import NO_HARVESTS, Harvest

log = structlog.get_logger(__name__)

# How long the second of reply and idle may be missing once the first is in.
HALF_ENDED_PATIENCE = 5.0
# How long an adopted kernel may take to say whether it has got a run: one that stands still says nothing.
_KNOWN_SECONDS = 5.0


class Cause(StrEnum):
    """Why a run is being stopped."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision depends on. Times are seconds of one monotonic clock; `begin_by` is until when the kernel
    may take to begin, None once it has; `rung_until` is the end of the patience with the present rung, None on none
    or on the last."""

    now: float
    deadline: float
    begin_by: float | None = None
    ended: bool = False
    half_ended_since: float | None = None
    dead: bool = False
    cancel_requested: bool = False
    cause: Cause | None = None
    rung_until: float | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The run is over."""


@dataclass(frozen=True, slots=True)
class Climb:
    """Take the next rung of the interrupt ladder."""

    cause: Cause


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this time, unless a fact changes."""

    until: float | None


Decision = Finish | Climb | Wait


def decide(facts: Facts) -> Decision:
    """What to do next."""
    if facts.dead or facts.ended:
        return Finish()
    if facts.half_ended_since is not None:
        give_up = facts.half_ended_since + HALF_ENDED_PATIENCE
        return Finish() if facts.now >= give_up else Wait(give_up)
    if facts.cause is not None:
        impatient = facts.rung_until is not None and facts.now >= facts.rung_until
        return Climb(facts.cause) if impatient else Wait(facts.rung_until)
    if not facts.cancel_requested and facts.now < facts.deadline:
        return Wait(facts.deadline)
    if facts.begin_by is not None and facts.now < facts.begin_by:
        # A kernel ignores an interrupt that comes before the code does.
        return Wait(facts.begin_by)
    return Climb(Cause.CANCEL if facts.cancel_requested else Cause.TIMEOUT)


class Run:
    """Carries one execution out on one kernel. `carry_out` returns once the execution has ended. What the harvest
    gathers when the code has ended is journaled before the end."""

    def __init__(
        self,
        execution: Execution,
        kernel: Interpreter,
        timeout: float,
        interrupt_grace: float,
        harvest: Harvest = NO_HARVESTS,
    ) -> None:
        self._execution = execution
        self._kernel = kernel
        self._harvest = harvest
        self._timeout = timeout
        self._grace = interrupt_grace
        self._rungs = iter(ladder(interrupt_grace))
        self._wake = asyncio.Event()
        self._request: PendingRequest
        self._deadline = 0.0
        self._begin_by = 0.0
        self._half_ended_since: float | None = None
        self._cause: Cause | None = None
        self._rung: Step | None = None
        self._rung_until: float | None = None
        self._held_error: Error | None = None

    async def carry_out(self) -> None:
        """Run the code to its end, whatever end that is."""
        cpu_before = self._kernel.process.cpu_seconds()
        self._kernel.process.reset_peak_memory()
        self._deadline = time.monotonic() + self._timeout
        self._begin_by = time.monotonic() + self._grace
        wanted = self._execution.request
        self._request = self._kernel.execute(wanted, self._emit, self._wake.set, self._execution.id)
        await self._see_through(cpu_before)

    async def follow(self) -> bool:
        """See what an adopted kernel may have been running through to its end. False: it has never got it, and nothing
        was done."""
        self._request = self._kernel.follow(self._emit, self._wake.set)
        dead = self._kernel.process.dead
        with anyio.move_on_after(_KNOWN_SECONDS), dead.telling(self._wake.set):
            while not (self._request.known or dead.is_set()):
                self._wake.clear()
                await self._wake.wait()
        if self._request.never:
            return False
        if self._execution.journal.ended:
            # Cancelled while it was not known whether it had begun.
            await self._kernel.interrupt()
            return True
        if self._execution.status is Status.QUEUED:
            self._execution.start()
        self._deadline = time.monotonic() + self._timeout - self._execution.elapsed_ms() / 1000
        await self._see_through(None)
        return True

    async def _see_through(self, cpu_before: float | None) -> None:
        wake = self._execution.clock_changed = self._wake.set
        with self._kernel.process.dead.telling(wake), self._execution.cancel_requested.telling(wake):
            await self._until_over()
        self._execution.number((self._request.reply or {}).get("execution_count"))
        await self._finish(cpu_before)

    @property
    def kernel_exits(self) -> bool:
        """Whether the code asked the kernel to end, as `exit()` does."""
        return self._request.kernel_exits

    async def _until_over(self) -> None:
        while True:
            self._wake.clear()
            match decide(self._facts()):
                case Finish():
                    break
                case Climb(cause):
                    await self._climb(cause)
                case Wait(until):
                    await self._sleep(until)
        if not self._kernel.alive:
            await self._kernel.last_words()

    def _facts(self) -> Facts:
        now = time.monotonic()
        if self._request.half_ended and self._half_ended_since is None and not self._execution.journal.full:
            self._half_ended_since = now
        return Facts(
            now=now,
            deadline=self._deadline_now(),
            begin_by=None if self._request.begun else self._begin_by,
            ended=self._request.ended,
            half_ended_since=self._half_ended_since,
            dead=not self._kernel.alive,
            cancel_requested=self._execution.cancel_requested.is_set(),
            cause=self._cause,
            rung_until=self._rung_until,
        )

    def _deadline_now(self) -> float:
        if self._execution.status is Status.AWAITING_APPROVAL:
            return math.inf
        return self._deadline + self._execution.parked_ms() / 1000

    async def _sleep(self, until: float | None) -> None:
        pause = None if until is None else max(until - time.monotonic(), 0)
        with anyio.move_on_after(pause):
            await self._wake.wait()

    async def _climb(self, cause: Cause) -> None:
        self._cause = cause
        step = self._rung = next(self._rungs)
        self._rung_until = None if step.patience is None else time.monotonic() + step.patience
        log.info("run_stopping", execution_id=self._execution.id, cause=cause.value, rung=step.rung.value)
        match step.rung:
            case Rung.INTERRUPT | Rung.INTERRUPT_AGAIN:
                await self._kernel.interrupt()
                if step.rung is Rung.INTERRUPT_AGAIN:
                    self._kernel.nudge()
            case Rung.NUDGE:
                self._kernel.nudge()
            case Rung.KILL:
                await self._kernel.process.kill()

    def _emit(self, event: Event) -> None:
        if self._cause is Cause.TIMEOUT and not self._execution.ended.is_set():
            # The KeyboardInterrupt is ours: it becomes the traceback of the timeout.
            if isinstance(event, Error):
                self._held_error = event
                return
            if isinstance(event, StatusChanged):
                return
        before = self._execution.journal.last_seq
        self._execution.emit(event)
        if self._execution.journal.last_seq > before:
            self._harvest.see(event, self._execution.journal.last_seq)
        self._execution.pace(self)

    def hold(self) -> None:
        """Let the kernel's output wait. That its end is behind that is no reason to give up on it."""
        self._kernel.hold()
        self._half_ended_since = None

    def go_on(self) -> None:
        """Take it again."""
        self._kernel.go_on()
        self._wake.set()

    async def _finish(self, cpu_before: float | None) -> None:
        ending = self._ending()
        complete = self._complete(ending, cpu_before)
        self._note_count()
        made = await self._harvest.gather()
        if ending.error is not None:
            self._execution.emit(StatusChanged("error"))
            self._execution.emit(ending.error)
        self._execution.finish(complete, made)

    def _note_count(self) -> None:
        # The kernel tells the number with a value, and of a cell that has none only here.
        told = (self._request.reply or {}).get("execution_count")
        if self._execution.execution_count is None and isinstance(told, int):
            self._execution.execution_count = told

    def _complete(self, ending: Ending, cpu_before: float | None) -> Complete:
        cpu_after = self._kernel.process.cpu_seconds()
        measured = cpu_before is not None and cpu_after is not None
        return Complete(
            ending.status,
            ending.reason,
            exit_code=self._exit_code(),
            duration_ms=self._execution.elapsed_ms(),
            cpu_seconds=round(cpu_after - cpu_before, 3) if measured else None,  # type: ignore[operator]
            peak_memory_bytes=self._kernel.process.peak_memory(),
            interruption=self._interruption(),
        )

    def _exit_code(self) -> int | None:
        told = self._request.exit_code
        return self._kernel.process.exit_code if told is None else told

    def _interruption(self) -> Interruption | None:
        return None if self._rung is None else Interruption(self._rung.rung.value, self._kernel.alive)

    def _ending(self) -> Ending:
        if self._request.unknown:
            return Ending(Status.FAILED, Reason.SERVICE_RESTARTED, SERVICE_GONE)
        died = None if self._kernel.alive or self._request.ended else describe_exit(self._kernel.process.exit_code)
        shown = self._held_error or self._execution.error
        return ending_of(self._cause, self._timeout, died, self._request.reply, shown, oom=self._kernel.process.oom)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, and the error that clients are still to be shown."""

    status: Status
    reason: Reason | None = None
    error: Error | None = None


def ending_of(
    cause: Cause | None,
    timeout: float,
    died: str | None,
    reply: dict[str, Any] | None,
    raised: Error | None,
    *,
    oom: bool = False,
) -> Ending:
    """The status, the reason and the error still to be sent.

    `died` says how the kernel ended, None if it lives, and `oom` that it did since there was no memory left; `raised`
    is the error that the kernel reported on the way.
    """
    if cause is Cause.TIMEOUT:
        what = _LOST if died else "it was interrupted, and the context keeps its variables"
        message = f"the run exceeded its time limit of {timeout:g} s; {what}"
        return Ending(Status.FAILED, Reason.TIMEOUT, Error("TimeoutError", message, raised.traceback if raised else ()))
    if cause is Cause.CANCEL:
        return Ending(Status.CANCELLED, error=Error("KeyboardInterrupt", f"cancelled; {_LOST}") if died else None)
    if died is not None:
        return _ending_of_the_dead(died, oom=oom)
    if reply is None:
        return Ending(Status.FAILED, Reason.ERROR) if raised else Ending(Status.SUCCEEDED)
    if reply.get("status") == "ok":
        return Ending(Status.SUCCEEDED)
    return Ending(Status.FAILED, Reason.ERROR, None if raised else _untold(reply))


def _ending_of_the_dead(died: str, *, oom: bool) -> Ending:
    if oom:
        return Ending(Status.FAILED, Reason.OOM, Error("OutOfMemory", f"{OUT_OF_MEMORY}; {_KEPT}"))
    message = f"the kernel ended {died} while the code ran; {_KEPT}"
    return Ending(Status.FAILED, Reason.KERNEL_DIED, Error("KernelDied", message))


def _untold(reply: dict[str, Any]) -> Error:
    try:
        return error_of({"ename": "Error", **reply})
    except MalformedMessage:
        return Error("Error", "the kernel failed to say which")


OUT_OF_MEMORY = "the sandbox had no memory left, and the machine killed what used the most of it"
_KEPT = "output so far is kept, variables are lost"
_LOST = "its kernel did not survive being stopped, and the context's variables are lost"
