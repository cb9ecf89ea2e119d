"""Kernels of one sandbox that have started before anybody asks for them.

Each is like the last that somebody has asked for: the same language and environment. Who asks for one like that gets
it, moved to the wanted folder; who asks for another starts it as ever. There are none before the first kernel of a
sandbox, and a new one is started only after no kernel has been for a moment. They are no contexts and are counted as
none, but they use the sandbox's memory, and end with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import anyio
import anyio.abc
import structlog

from execd.errors import KernelStartFailed
from execd.kernel.kernel import Kernel
from execd.kernel.kernelspec import KernelSpec
from execd.waiting import Occasion, first_of

log = structlog.get_logger(__name__)

_QUIET_SECONDS = 1.0

Start = Callable[[KernelSpec, PurePath, Mapping[str, str]], Awaitable[Kernel]]


@dataclass(frozen=True, slots=True)
class Like:
    """What a kernel was started with."""

    spec: KernelSpec
    cwd: PurePath
    env: Mapping[str, str]

    def serves(self, other: Like) -> bool:
        """Whether a kernel of this kind can become one of that: they differ in no more than the folder."""
        return self.spec == other.spec and _elsewhere(self.env) == _elsewhere(other.env)


class WarmKernels:
    """At most `most` that wait. Their task belongs to `tasks`; `close` ends it, and them."""

    def __init__(self, start: Start, most: int, tasks: anyio.abc.TaskGroup, quiet: float = _QUIET_SECONDS) -> None:
        self.waiting: dict[Kernel, Like] = {}
        self.settled = anyio.Event()
        """Set when as many wait as can be had, until the next is asked for."""
        self._start = start
        self._most = most
        self._tasks = tasks
        self._quiet = quiet
        self._like: Like | None = None
        self._asked = Occasion()
        self._scope: anyio.CancelScope | None = None
        self._ended = anyio.Event()
        self._open = most > 0

    async def take(self, wanted: Like) -> Kernel | None:
        """A kernel that waits and is what a new one would be; it belongs to the caller. None where there is none."""
        for kernel, like in list(self.waiting.items()):
            del self.waiting[kernel]
            if await _entered(kernel, like.serves(wanted), wanted.cwd):
                return kernel
        return None

    def ask(self, like: Like) -> None:
        """From now on have kernels like this wait. To be called when somebody has got one."""
        if not self._open or not like.spec.forks:
            return
        self._like, self.settled = like, anyio.Event()
        self._asked.set()
        if self._scope is None:
            self._scope = anyio.CancelScope()
            self._tasks.start_soon(self._serve, self._scope)

    async def close(self) -> None:
        """End those that wait, and start no more. Safe to call twice."""
        self._open = False
        if self._scope is not None:
            self._scope.cancel()
            await self._ended.wait()

    async def _serve(self, scope: anyio.CancelScope) -> None:
        structlog.contextvars.clear_contextvars()
        try:
            with scope:
                while True:
                    await self._wait()
                    await self._refill()
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(list(self.waiting))
            self._ended.set()

    async def _wait(self) -> None:
        """Return when there may be something to do, and nobody has asked for a moment."""
        await first_of(self._asked, *(kernel.process.dead for kernel in self.waiting))
        asked = True
        while asked:
            self._asked = Occasion()
            with anyio.move_on_after(self._quiet):
                await self._asked.wait()
            asked = self._asked.is_set()

    async def _refill(self) -> None:
        like = self._like
        assert like is not None
        await self._end([kernel for kernel, other in self.waiting.items() if not (kernel.alive and other.serves(like))])
        try:
            while len(self.waiting) < self._most and not self._asked.is_set():
                await self._add(like)
        except KernelStartFailed as error:
            # Who asks for one will be told why.
            log.info("warm_kernel_not_started", why=str(error))
        self.settled.set()

    async def _add(self, like: Like) -> None:
        kernel = await self._start(like.spec, like.cwd, like.env)
        if await _entered(kernel, True, like.cwd, warm=True):
            self.waiting[kernel] = like
            return
        raise KernelStartFailed(like.spec.language, "it cannot wait for somebody")

    async def _end(self, kernels: list[Kernel]) -> None:
        for kernel in kernels:
            self.waiting.pop(kernel, None)
            await kernel.shutdown()


async def _entered(kernel: Kernel, serves: bool, cwd: PurePath, *, warm: bool = False) -> bool:
    """Whether a kernel that lives and `serves` has gone where it is wanted. Any other ends, also when nobody waits for
    the answer any more: nobody else has it."""
    entered = False
    try:
        entered = serves and kernel.alive and await kernel.enter(cwd, warm=warm)
    finally:
        if not entered:
            await kernel.shutdown()
    return entered


def _elsewhere(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name != "PWD"}
