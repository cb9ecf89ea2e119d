"""A command: an execution that is a process of its own, from its start to its one terminal event."""

from __future__ import annotations

import signal
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import PurePath

import anyio
import structlog
from anyio import to_thread

from execd.events import Complete, Error, Interruption, Reason, Status, Stderr, Stdout
from execd.isolation.launch import Exit, Launcher, what_failed
from execd.kernel.adopting import Adopted, close_all
from execd.kernel.child import ChildProcess, ChildSpec, Listener
from execd.kernel.lines import LineAssembler
from execd.service.context import SERVICE_ENDED
from execd.service.execution import Execution
from execd.service.input_pipe import InputPipe
from execd.service.run import OUT_OF_MEMORY, Ending
from execd.waiting import Occasion, first_of

log = structlog.get_logger(__name__)

ALONE = "alone"
"""Stands in the detail of the executions of commands that leave nothing running."""

ENAME = "CommandExecError"
KILLED = "-1"

_TERM_PATIENCE = 3.0


class Rung(StrEnum):
    """What was needed to stop a command."""

    TERMINATE = "terminate"
    KILL = "kill"


class Command:
    """One command. `carry_out` runs it to its end, as a task of its own; its output goes to the execution's journal."""

    def __init__(
        self,
        launcher: Launcher,
        execution: Execution,
        spec: ChildSpec,
        timeout: float | None,
        *,
        with_input: bool = False,
    ) -> None:
        self._launcher = launcher
        self.execution = execution
        self.merged = spec.merge_stderr
        self._spec = spec
        self._timeout = timeout
        self._lines = {"stdout": LineAssembler(), "stderr": LineAssembler()}
        self.input: InputPipe | None = None
        self.spawned = anyio.Event()
        self._child: ChildProcess | None = None
        self._with_input = with_input
        self.alone = bool(execution.origin.detail.get(ALONE))
        """Whether what it leaves running ends with it, and it is not asked before it is killed."""
        self._rung: Rung | None = None
        self._listener = Listener(self._output, lasting=True)
        self._leaving = Occasion()
        self._left = anyio.Event()
        self._closing = Occasion()
        self._ending = SERVICE_ENDED

    @classmethod
    def adopt(cls, launcher: Launcher, execution: Execution, started: Adopted, timeout: float | None) -> Command:
        """One that an earlier service has started, to be carried out unless its execution has ended: then only what it
        has left running is still listened to. Raises OSError."""
        kept = started.take()
        spec = ChildSpec((), PurePath("/"), {}, started.label, merge_stderr="stderr" not in kept)
        command = cls(launcher, execution, spec, timeout)
        if "stdin" in kept:
            command.input = InputPipe(kept.pop("stdin"))
            command.input.on_close = partial(started.drop, "stdin")
        command._child = ChildProcess.adopt(started, kept, started.label, command._listener)
        close_all(kept)
        command.spawned.set()
        if execution.journal.ended:
            command._left.set()
            command._child.settle()
        return command

    @property
    def pid(self) -> int | None:
        """The number of its process; None before it has one, which `spawned` tells, and where it never had one."""
        return None if self._child is None else self._child.pid

    @property
    def pending(self) -> str:
        """The beginning of a line of its merged output whose end has not come yet."""
        return self._lines["stdout"].pending

    async def carry_out(self) -> None:
        """Start it and end it."""
        structlog.contextvars.clear_contextvars()
        try:
            await self._carry_out()
        finally:
            self._left.set()

    async def leave(self) -> None:
        """Leave it as it is to a later service; returns when nobody listens to it any more."""
        self._leaving.set()
        await self._left.wait()
        if self._child is not None:
            self._child.leave()

    async def _carry_out(self) -> None:
        if self.execution.status is Status.QUEUED:
            self.execution.start()
        with anyio.CancelScope(shield=True):
            child = self._child or await self._started()
            if child is None:
                return
            await self._until_over(child)
            if self._leaving.is_set():
                self._leave(child)
                return
            self._close_input()
            # Once its end is kept, nobody has to be told again how it ended.
            await self.execution.ended.wait()
            child.settle()

    async def close(self, ending: Ending = SERVICE_ENDED) -> None:
        """Kill it, which is how it ends, and listen no more to what it left running."""
        self._ending = ending
        self._closing.set()
        await self.execution.ended.wait()
        if self._child is not None:
            self._child.close()

    def _leave(self, child: ChildProcess) -> None:
        child.drain()
        child.leave()
        for stream, lines in self._lines.items():
            self._emit(stream, lines.finish())
        if self.input is not None:
            self.input.on_close = lambda: None
            self.input.close()

    async def _started(self) -> ChildProcess | None:
        try:
            self._child = await self._spawn()
        except OSError as error:
            self._close_input()
            self._fail(Reason.ERROR, what_failed(error))
        finally:
            self.spawned.set()
        return self._child

    async def _spawn(self) -> ChildProcess:
        if not self._with_input:
            return await ChildProcess.begin(self._launcher, self._spec, self._listener)
        self.input = InputPipe()
        try:
            spec = replace(self._spec, stdin=self.input.theirs, keep={"stdin": self.input.ours})
            child = await ChildProcess.begin(self._launcher, spec, self._listener)
            self.input.on_close = partial(child.drop, "stdin")
            return child
        finally:
            self.input.started()

    def _close_input(self) -> None:
        if self.input is not None:
            self.input.close()

    async def _until_over(self, child: ChildProcess) -> None:
        left = None if self._timeout is None else self._timeout - self.execution.elapsed_ms() / 1000
        with anyio.move_on_after(left) as limit:
            await first_of(child.exited, self.execution.cancel_requested, self._closing, self._leaving)
        if self._leaving.is_set():
            return
        if self._closing.is_set():
            await self._kill(child)
            self._finish(Complete(self._ending.status, self._ending.reason), self._ending.error)
        elif limit.cancelled_caught:
            await self._kill(child)
            self._fail(Reason.TIMEOUT, f"the command exceeded its time limit of {self._timeout:g} s and was killed")
        elif self.execution.cancel_requested.is_set():
            await self._stop(child)
            self._finish(Complete(Status.CANCELLED, exit_code=child.exit_code), Error(ENAME, KILLED, ("cancelled",)))
        else:
            if self.alone:
                await to_thread.run_sync(child.kill_tree)
                child.drain()
            self._finish_by_exit(child.exit or Exit(0))

    async def _stop(self, child: ChildProcess) -> None:
        if self.alone:
            await self._kill(child)
            return
        self._rung = Rung.TERMINATE
        child.signal_group(signal.SIGTERM)
        # A stopped process would not notice.
        child.signal_group(signal.SIGCONT)
        with anyio.move_on_after(_TERM_PATIENCE):
            await child.exited.wait()
        await self._kill(child)

    async def _kill(self, child: ChildProcess) -> None:
        if not child.exited.is_set():
            self._rung = Rung.KILL
        await to_thread.run_sync(child.kill_tree)
        await child.exited.wait()

    def _finish_by_exit(self, ended: Exit) -> None:
        code = ended.code
        if code == 0:
            self._finish(Complete(Status.SUCCEEDED, exit_code=0), None)
            return
        told = str(code) if code > 0 else KILLED
        how = f"exit status {code}" if code > 0 else f"signal: {_signal_name(-code)}"
        reason, words = (Reason.OOM, f"{how}: {OUT_OF_MEMORY}") if ended.oom else (Reason.ERROR, how)
        self._finish(Complete(Status.FAILED, reason, exit_code=code), Error(ENAME, told, (words,)))

    def _fail(self, reason: Reason, why: str) -> None:
        code = None if self._child is None else self._child.exit_code
        evalue = why if self._child is None else KILLED
        self._finish(Complete(Status.FAILED, reason, exit_code=code), Error(ENAME, evalue, (why,)))

    def _finish(self, complete: Complete, error: Error | None) -> None:
        for stream, lines in self._lines.items():
            self._emit(stream, lines.finish())
        if error is not None:
            self.execution.emit(error)
        used = None if self._child is None else self._child.exit
        self.execution.finish(
            Complete(
                complete.status,
                complete.reason,
                exit_code=complete.exit_code,
                duration_ms=self.execution.elapsed_ms(),
                cpu_seconds=None if used is None else used.cpu_seconds,
                peak_memory_bytes=None if used is None else used.peak_memory,
                interruption=None if self._rung is None else Interruption(self._rung.value, state_kept=True),
            )
        )

    def _output(self, stream: str, data: bytes) -> None:
        lines = self._lines[stream]
        self._emit(stream, lines.feed(data) if data else lines.finish())

    def _emit(self, stream: str, text: str) -> None:
        if text:
            self.execution.emit(Stdout(text) if stream == "stdout" else Stderr(text))
            if self._child is not None:
                self.execution.pace(self._child)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
