"""What a context asks of whatever runs its code: a Jupyter kernel, or a bash that is driven like one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from execd.kernel.kernelspec import KernelSpec
from execd.kernel.request import Emit, ExecuteRequest, PendingRequest
from execd.kernel.trace import Trace
from execd.waiting import Occasion


class InterpreterProcess(Protocol):
    """The process in which the state lives. `oom`: it was killed since the sandbox had no memory left."""

    dead: Occasion
    exit_code: int | None
    oom: bool

    @property
    def pid(self) -> int | None:
        """Its number, None while there is no such process."""

    @property
    def alive(self) -> bool:
        """Whether the state still lives."""

    async def kill(self) -> None:
        """End it, with what it started; returns when it is gone."""

    def cpu_seconds(self) -> float | None:
        """CPU time so far, in seconds."""

    def reset_peak_memory(self) -> None:
        """Let `peak_memory` count from now, where that is possible."""

    def peak_memory(self) -> int | None:
        """The largest resident size in bytes."""


class Interpreter(Protocol):
    """A living interpreter. The caller executes one request at a time."""

    @property
    def spec(self) -> KernelSpec:
        """The language's kernelspec."""

    @property
    def process(self) -> InterpreterProcess:
        """Its process."""

    @property
    def alive(self) -> bool:
        """Whether it can run code."""

    def execute(
        self, wanted: ExecuteRequest, emit: Emit, changed: Callable[[], None], request: str = ""
    ) -> PendingRequest:
        """Run code; the pending request tells what becomes of it. `request` is what it is called, and what it can be
        asked for by a later service; "" makes a name."""

    def hold(self) -> None:
        """Read no more of what the code says until `go_on`: it waits, once what is between us is full."""

    def go_on(self) -> None:
        """Read what it says. Nothing where it is not held."""

    async def interrupt(self) -> None:
        """Ask the running code to stop; a second time, insist."""

    @property
    def trace(self) -> Trace:
        """What a later service needs to find it again."""

    def follow(self, emit: Emit, changed: Callable[[], None]) -> PendingRequest:
        """The request that it was adopted with, as if executed now. To be called at most once, and only then."""

    def nudge(self) -> None:
        """Make it notice an interrupt that it has not noticed."""

    def answer_input(self, value: str) -> None:
        """Give the code that waits for input its line."""

    async def last_words(self) -> None:
        """After its death: wait until what it had written has been emitted."""

    def leave(self) -> None:
        """Listen to it no more, once what it has said so far has been emitted, and leave it to a later service."""

    async def shutdown(self) -> None:
        """End it and remove what it needed."""
