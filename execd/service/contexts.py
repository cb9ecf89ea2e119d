"""The contexts of a sandbox: made, found, listed, deleted, and put to sleep when nobody uses them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import structlog

from execd.errors import Conflict, ContextNotFound, ShuttingDown, TooManyContexts
from execd.kernel.kernelspec import KernelSpec, Kernelspecs
from execd.service.context import CONTEXT_DELETED, SERVICE_ENDED, Context, Left, StartKernel, Witness
from execd.service.context_limits import ContextLimits
from execd.service.harvest import NO_HARVESTS, Harvests
from execd.service.registry import SOON_SECONDS
from execd.service.run import Ending
from execd.service.workspace import Workspace

log = structlog.get_logger(__name__)

CONTEXT = "ctx"
"""What the ids of contexts begin with; those of sessions, which are no contexts to clients, do not."""

# How late may be kept when a context was used: that of each run would cost as much as some runs.
_USE_KEPT_SECONDS = 1.0


class Keep:
    """Who names contexts, and keeps what a later service has to know of them. This one keeps nothing."""

    def __init__(self, identify: Callable[[], str]) -> None:
        self.identify = identify

    def note(self, context: Context, *, default: bool, within: float = SOON_SECONDS) -> None:
        """It is new, or not as it was; `default`: it is its language's. It is kept `within` so many seconds."""

    def forget(self, context: Context) -> None:
        """It is no more."""

    async def kept(self) -> None:
        """Return when what was noted is kept. Raises StorageFull."""


class Contexts:
    """Every context by id, and each language's default. Their tasks belong to `tasks`; `keep` names them. What their
    runs make is gathered by `harvests`."""

    def __init__(
        self,
        kernelspecs: Kernelspecs,
        start_kernel: StartKernel,
        workspace: Workspace,
        limits: ContextLimits,
        tasks: anyio.abc.TaskGroup,
        keep: Keep,
    ) -> None:
        self._kernelspecs = kernelspecs
        self._start_kernel = start_kernel
        self._workspace = workspace
        self._limits = limits
        self._tasks = tasks
        self._keep = keep
        self._witness = Witness(self._note, partial(self._note, within=_USE_KEPT_SECONDS), keep.kept)
        self.harvests: Harvests = NO_HARVESTS
        self.admit: Callable[[], None] = lambda: None
        """Called before another one is made; what it raises is why there is to be none."""
        self._all: dict[str, Context] = {}
        self._defaults: dict[str, Context] = {}
        self._open = True
        self._ended = False

    def get(self, context_id: str) -> Context:
        """The context with this id. Raises ContextNotFound."""
        try:
            return self._all[context_id]
        except KeyError:
            raise ContextNotFound(context_id) from None

    def named(self, name: str) -> Context:
        """The context with this id or this name. Raises ContextNotFound."""
        if name in self._all:
            return self._all[name]
        found = next((context for context in self._all.values() if context.name == name), None)
        if found is None:
            raise ContextNotFound(name)
        return found

    def has(self, context_id: str) -> bool:
        """Whether there is a context with this id."""
        return context_id in self._all

    def list(self, language: str | None = None) -> list[Context]:
        """The contexts from the oldest to the newest, optionally of one language."""
        return [context for context in self._all.values() if language in (None, context.language)]

    def count_waiting(self) -> int:
        """How many executions wait for their turn, in all contexts."""
        return sum(context.waiting for context in self._all.values())

    def count_kernels(self) -> int:
        """How many kernels live."""
        return sum(context.kernel is not None and context.kernel.alive for context in self._all.values())

    async def create(self, language: str, cwd: str | None = None, name: str | None = None) -> Context:
        """A new context with a living kernel, which is kept. Raises UnknownLanguage, TooManyContexts, KernelFailed,
        StorageFull; Conflict where another has this name."""
        context = self.prepare(language, cwd, name)
        try:
            await context.warm()
            await self._keep.kept()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._remove(context)
            raise
        return context

    def prepare(self, language: str, cwd: str | None = None, name: str | None = None) -> Context:
        """A new context, whose kernel starts with its first run. Raises UnknownLanguage, TooManyContexts; Conflict
        where another has this name."""
        spec = self._kernelspecs.get(language)
        if name is not None and any(name in (other.id, other.name) for other in self._all.values()):
            raise Conflict(f"there is a context {name!r} already")
        return self._add(spec, cwd, name)

    def has_default(self, language: str) -> bool:
        """Whether the language has its default context already."""
        return language in self._defaults

    def adopt(self, context_id: str, spec: KernelSpec, cwd: Path, left: Left, *, default: bool) -> Context:
        """One that an earlier service has left."""
        context = Context(context_id, spec, cwd, self._limits, self._start_kernel, self._witness)
        context.harvests = self.harvests
        context.take_over(left)
        if default:
            self._defaults[spec.language] = context
        self._all[context.id] = context
        self._tasks.start_soon(context.serve)
        log.info("context_adopted", context_id=context.id, language=context.language, state=context.state)
        return context

    def default(self, language: str, cwd: str | None = None) -> Context:
        """The language's default context, made when there is none; `cwd` counts only then. Its kernel starts with
        its first run. Raises UnknownLanguage, TooManyContexts."""
        spec = self._kernelspecs.get(language)
        if language not in self._defaults:
            self._defaults[language] = self._add(spec, cwd)
            self._note(self._defaults[language])
        return self._defaults[language]

    async def delete(self, context_id: str) -> None:
        """End a context and what it runs. Raises ContextNotFound."""
        await self._remove(self.get(context_id))

    async def delete_all(self, language: str) -> None:
        """End every context of a language, its default one included."""
        for context in self.list(language):
            await self._remove(context)

    async def hibernate_idle(self, idle_timeout: float) -> None:
        """End the kernels of contexts that have been idle for `idle_timeout` seconds."""
        for context in self.list():
            if context.state == "idle" and context.idle_seconds() >= idle_timeout:
                await context.hibernate(f"it was idle for more than {idle_timeout:g} s")

    def busy(self) -> bool:
        """Whether anything runs or waits here."""
        return any(context.running is not None or context.waiting for context in self._all.values())

    async def close(self, ending: Ending = SERVICE_ENDED) -> None:
        """End every context, all at once, and accept no new one; what runs in them ends like this."""
        self._open, self._ended = False, True
        async with anyio.create_task_group() as group:
            for context in self.list():
                group.start_soon(context.close, ending)

    async def leave(self) -> None:
        """Leave every context as it is to a later service, and accept no new one."""
        self._open = False
        async with anyio.create_task_group() as group:
            for context in self.list():
                group.start_soon(context.leave)

    def _note(self, context: Context, within: float = SOON_SECONDS) -> None:
        # What was kept of them goes with their sandbox.
        if self._all.get(context.id) is context and not self._ended:
            self._keep.note(context, default=self._defaults.get(context.language) is context, within=within)

    def _add(self, spec: KernelSpec, cwd: str | None, name: str | None = None) -> Context:
        if not self._open:
            raise ShuttingDown
        if len(self._all) >= self._limits.contexts:
            raise TooManyContexts(self._limits.contexts)
        self.admit()
        folder = self._workspace.usable(cwd)
        context = Context(self._keep.identify(), spec, folder, self._limits, self._start_kernel, self._witness)
        context.harvests, context.name = self.harvests, name
        self._all[context.id] = context
        self._note(context)
        self._tasks.start_soon(context.serve)
        log.info("context_created", context_id=context.id, language=context.language)
        return context

    async def _remove(self, context: Context) -> None:
        self._all.pop(context.id, None)
        if self._defaults.get(context.language) is context:
            del self._defaults[context.language]
        self._keep.forget(context)
        await context.close(CONTEXT_DELETED)
        log.info("context_deleted", context_id=context.id)
