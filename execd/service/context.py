"""A context: one stateful interpreter with a FIFO of executions, which one task works off in order.

submit ──▶ waiting (bounded) ──▶ serve: one at a time ──▶ Run on the kernel
                                    └─ no kernel, or a dead one? start it; say `context_restarted` if state was lost
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import structlog

from execd.errors import ContextNotFound, ExecdError, KernelFailed, QueueFull, ShuttingDown, StorageFull
from execd.events import Complete, ContextRestarted, Error, Reason, Status, StatusChanged
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.process import describe_exit
from execd.service.context_limits import ContextLimits
from execd.service.execution import Execution
from execd.service.harvest import NO_HARVESTS, Harvest, Harvests
from execd.service.run import Ending, Run

log = structlog.get_logger(__name__)

# How executions end whose context goes away under them.
CONTEXT_DELETED = Ending(Status.CANCELLED, None, Error("ContextDeleted", "the context was deleted"))
SERVICE_ENDED = Ending(
    Status.FAILED, Reason.SERVICE_RESTARTED, Error("ServiceEnded", "the service ended before this run did")
)

SANDBOX_DELETED = Ending(Status.CANCELLED, None, Error("SandboxDeleted", "the sandbox was deleted"))
SANDBOX_EXPIRED = Ending(
    Status.FAILED, Reason.SANDBOX_LOST, Error("SandboxExpired", "the time of the sandbox was over before this run was")
)
SANDBOX_LOST = Ending(
    Status.FAILED, Reason.SANDBOX_LOST, Error("SandboxLost", "the processes of the sandbox were ended from outside")
)

StartKernel = Callable[[KernelSpec, Path], Awaitable[Interpreter]]


async def _kept_by_nobody() -> None:
    return


@dataclass(frozen=True, slots=True)
class Witness:
    """Who is told when what a later service has to know of a context is not as it was: `changed`, or `used` where only
    the time is another; `kept` returns when that is kept, or raises StorageFull."""

    changed: Callable[[Context], None] = lambda _: None
    used: Callable[[Context], None] = lambda _: None
    kept: Callable[[], Awaitable[None]] = _kept_by_nobody


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier service has left of a context: its kernel, None where it had none or that is lost, for the reason
    in `state_lost`; and what had not ended, in the order of its turns. Times are Unix ms."""

    kernel: Interpreter | None
    generation: int
    state_lost: str | None
    created_at: int
    idle_since: int
    unfinished: tuple[Execution, ...] = ()


class Context:
    """One interpreter. Its id stays for good; its kernel may be replaced, and then `generation` grows."""

    def __init__(
        self,
        context_id: str,
        spec: KernelSpec,
        cwd: Path,
        limits: ContextLimits,
        start_kernel: StartKernel,
        witness: Witness | None = None,
    ) -> None:
        self.id = context_id
        self.name: str | None = None
        """What it is called by whoever wanted one of this name."""
        self.spec = spec
        self.cwd = cwd
        self.generation = 0
        self.kernel: Interpreter | None = None
        self.running: Execution | None = None
        self.created_at = time.time_ns() // 1_000_000
        self.harvests: Harvests = NO_HARVESTS
        """Who gathers what its runs make."""
        self.limits = limits
        self._start_kernel = start_kernel
        self._waiting: deque[Execution] = deque()
        self._coming = 0
        self._work = anyio.Event()
        self._starting = anyio.Lock()
        self._state_lost: str | None = None
        self._idle_since = time.monotonic()
        self._under_way: Execution | None = None
        self._leaving = False
        self._witness = witness or Witness()
        self._closing = SERVICE_ENDED
        self._scope = anyio.CancelScope()
        self._preparations: set[anyio.CancelScope] = set()
        self._closed = anyio.Event()

    def take_over(self, left: Left) -> None:
        """Go on from what an earlier service has left; to be called before it is served."""
        self.kernel, self.generation, self._state_lost = left.kernel, left.generation, left.state_lost
        self.created_at = left.created_at
        self._idle_since = time.monotonic() - max(time.time() - left.idle_since / 1000, 0)
        self._waiting.extend(left.unfinished)
        if left.kernel is not None and left.unfinished:
            self._under_way = left.unfinished[0]

    @property
    def state_lost(self) -> str | None:
        """Why its next run begins without the variables of the last one; None if it does not."""
        return self._state_lost

    def __repr__(self) -> str:
        return f"<Context {self.id} {self.language}, {self.state}, {len(self._waiting)} waiting>"

    @property
    def language(self) -> str:
        """The language that it speaks."""
        return self.spec.language

    @property
    def state(self) -> str:
        """What it does now: busy, idle, or dormant when it has no living kernel."""
        if self.running is not None:
            return "busy"
        return "idle" if self.kernel is not None and self.kernel.alive else "dormant"

    @property
    def _occupied(self) -> bool:
        # What runs may have ended already, while its kernel is still being ended or started.
        return self.running is not None and not self.running.journal.ended

    @property
    def waiting(self) -> int:
        """How many executions wait for their turn."""
        return len(self._waiting)

    def idle_seconds(self) -> float:
        """How long nothing has run or waited here; 0 while something does."""
        busy = self.running is not None or self._waiting
        return 0.0 if busy else time.monotonic() - self._idle_since

    def check_room(self) -> None:
        """Raise QueueFull, or that the context is closed, if `submit` would."""
        if self._scope.cancel_called:
            raise self._gone()
        if len(self._waiting) + self._coming >= self.limits.queue:
            raise QueueFull(self.id, self.limits.queue)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Keep a place in line while the block runs. Raises what `check_room` does."""
        self.check_room()
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def submit(self, execution: Execution) -> None:
        """Put an execution at the end of the line. Raises QueueFull; after `close`, ContextNotFound or ShuttingDown."""
        self.check_room()
        ahead = len(self._waiting) + self._occupied
        self._waiting.append(execution)
        if ahead:
            execution.wait_in_line(ahead)
        self._work.set()

    async def interrupt(self) -> Execution | None:
        """Stop what runs now, if anything, and return it once it has ended. What waits is not touched."""
        execution = self.running if self._occupied else None
        if execution is not None:
            await self.cancel(execution)
        return execution

    async def cancel(self, execution: Execution) -> None:
        """Stop this execution, running or waiting; returns when it has ended. Nothing for one that has."""
        execution.cancel()
        if execution.status is Status.QUEUED:
            # In line, or its kernel still starts: that goes on, for the next one.
            execution.finish(Complete(Status.CANCELLED))
        if execution in self._waiting:
            self._waiting.remove(execution)
            self._tell_positions()
        await execution.ended.wait()

    def answer_input(self, value: str) -> None:
        """Give the running code's `input()` its line."""
        if self.kernel is not None and self.running is not None:
            self.running.awaiting_input = False
            self.kernel.answer_input(value)

    async def warm(self) -> None:
        """Have a living kernel. Raises KernelFailed; if the context is closed meanwhile, as `submit` does."""
        with self._preparing():
            await self._ready_kernel()
            self._idle_since = time.monotonic()

    async def restart(self) -> None:
        """Replace the kernel by a new one, which has no variables. What runs is cancelled; what waits runs in the new
        kernel. Raises KernelFailed; if the context is closed, now or meanwhile, what `submit` does."""
        with self._preparing():
            # Nothing begins while this is held.
            async with self._starting:
                if self.running is not None and self.running.status is Status.RUNNING:
                    await self.cancel(self.running)
                await self._drop_kernel("it was restarted")
                await self._new_kernel()
            self._idle_since = time.monotonic()

    async def hibernate(self, why: str) -> None:
        """End the kernel of an idle context; its next run starts a new one and says so."""
        async with self._starting:
            if self.kernel is not None and self.running is None and not (self._waiting or self._leaving):
                log.info("context_hibernates", context_id=self.id, why=why)
                await self._drop_kernel(why)

    async def leave(self) -> None:
        """Do nothing more, and leave everything as it is to a later service. Nothing can be submitted any more."""
        self._leaving = True
        await self._stop()

    async def close(self, ending: Ending) -> None:
        """End for good: what runs and what waits ends like this, and the kernel with it."""
        self._closing = ending
        await self._stop()

    async def serve(self) -> None:
        """Work off the line until `close`. Runs as a task of its own."""
        # The task lives longer than the request that made it.
        structlog.contextvars.clear_contextvars()
        try:
            with self._scope:
                while True:
                    await self._next_turn()
        finally:
            with anyio.CancelScope(shield=True):
                await self._wind_up()

    async def _next_turn(self) -> None:
        if not self._waiting:
            self._work = anyio.Event()
            await self._work.wait()
            return
        self.running = self._waiting.popleft()
        self._tell_positions()
        await self._carry_out(self.running)
        # Not before its end is kept: only the first in line can have been begun when a later service finds the line.
        await self.running.ended.wait()
        self.running = None
        self._idle_since = time.monotonic()
        self._witness.used(self)

    async def _carry_out(self, execution: Execution) -> None:
        try:
            await self._run(execution)
        except KernelFailed as error:
            if not execution.journal.ended:
                execution.fail(Reason.KERNEL_DIED, Error("KernelFailed", str(error)))
        except Exception:
            # A defect of ours must not take the other contexts along; the kernel's state is no longer known.
            log.exception("run_broke", execution_id=execution.id)
            await self._drop_kernel("execd failed while it ran code")
            if not execution.journal.ended:
                execution.fail(Reason.ERROR, Error("InternalError", "execd failed while it ran this code; see its log"))

    async def _run(self, execution: Execution) -> None:
        if await self._followed(execution):
            return
        await self._ready_kernel()
        harvest = await self.harvests.begin(execution)
        try:
            # A restart may have come meanwhile; from here on it finds the execution running.
            await self._run_on(await self._ready_kernel(), execution, harvest)
        finally:
            harvest.close()

    async def _run_on(self, kernel: Interpreter, execution: Execution, harvest: Harvest) -> None:
        if execution.journal.ended:
            return
        if self._state_lost is not None:
            execution.emit(ContextRestarted(self.generation, self._state_lost))
            self._state_lost = None
            self._witness.changed(self)
        if execution.status is Status.QUEUED:
            execution.start()
        run = self._new_run(execution, kernel, harvest)
        await run.carry_out()
        if run.kernel_exits and self.kernel is kernel:
            await self._drop_kernel("the code called exit()")

    async def _followed(self, execution: Execution) -> bool:
        """Whether the kernel that was adopted had got this one from the service before: then it has ended now."""
        kernel = self.kernel
        if execution is not self._under_way or kernel is None:
            return False
        self._under_way = None
        harvest = await self.harvests.begin(execution)
        try:
            run = self._new_run(execution, kernel, harvest)
            followed = await run.follow()
        finally:
            harvest.close()
        if followed and run.kernel_exits and self.kernel is kernel:
            await self._drop_kernel("the code called exit()")
        return followed

    def _new_run(self, execution: Execution, kernel: Interpreter, harvest: Harvest) -> Run:
        timeout = self.limits.timeout(execution.request.timeout)
        return Run(execution, kernel, timeout, self.limits.interrupt_grace, harvest)

    async def _ready_kernel(self) -> Interpreter:
        async with self._starting:
            if self.kernel is not None and not self.kernel.alive:
                await self._drop_kernel(f"its kernel ended {describe_exit(self.kernel.process.exit_code)}")
            return self.kernel or await self._new_kernel()

    async def _new_kernel(self) -> Interpreter:
        kernel = self.kernel = await self._start_kernel(self.spec, self.cwd)
        self.generation += 1
        self._witness.changed(self)
        with contextlib.suppress(StorageFull):  # Then a later service does not find it.
            await self._witness.kept()
        return kernel

    async def _drop_kernel(self, why: str) -> None:
        dropped = self.kernel
        if dropped is not None:
            await dropped.shutdown()
            if self.kernel is dropped:
                self.kernel = None
                self._state_lost = why
                self._witness.changed(self)

    @contextmanager
    def _preparing(self) -> Iterator[None]:
        # Closing does not wait for what only readies the kernel.
        if self._scope.cancel_called:
            raise self._gone()
        with anyio.CancelScope() as scope:
            self._preparations.add(scope)
            try:
                yield
            finally:
                self._preparations.discard(scope)
        if scope.cancel_called:
            raise self._gone()

    async def _stop(self) -> None:
        self._scope.cancel()
        for preparation in tuple(self._preparations):
            preparation.cancel()
        await self._closed.wait()

    def _tell_positions(self) -> None:
        for position, execution in enumerate(self._waiting, start=1):
            execution.wait_in_line(position)

    async def _wind_up(self) -> None:
        # Whoever starts or ends a kernel at this moment comes first: what it leaves must not stay.
        async with self._starting:
            if self._leaving:
                self._witness.changed(self)
                self._leave_kernel()
                return
            await self._drop_kernel("the context was closed")
        for execution in (self.running, *self._waiting):
            if execution is not None and not execution.journal.ended:
                self._foreclose(execution)
        self.running = None
        self._waiting.clear()
        self._closed.set()

    def _leave_kernel(self) -> None:
        if self.kernel is not None:
            self.kernel.leave()
        self._closed.set()

    def _gone(self) -> ExecdError:
        return ShuttingDown() if self._closing is SERVICE_ENDED else ContextNotFound(self.id)

    def _foreclose(self, execution: Execution) -> None:
        if self._closing.error is not None:
            execution.emit(StatusChanged("error"))
            execution.emit(self._closing.error)
        execution.finish(Complete(self._closing.status, self._closing.reason, duration_ms=execution.elapsed_ms()))
