"""The contexts of a sandbox: made, found, listed, deleted, and put to sleep when nobody uses them."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.abc
import structlog

from execd.errors import ContextNotFound, ShuttingDown, TooManyContexts
from execd.kernel.kernelspec import KernelSpec, Kernelspecs
from execd.service.context import CONTEXT_DELETED, SERVICE_ENDED, Context, ContextLimits, StartKernel
from execd.service.harvest import NO_HARVESTS, Harvests
from execd.service.run import Ending
from execd.service.workspace import Workspace

log = structlog.get_logger(__name__)


class Contexts:
    """Every context by id, and each language's default. Their tasks belong to `tasks`; `identify` names them. What
    their runs make is gathered by `harvests`."""

    def __init__(
        self,
        kernelspecs: Kernelspecs,
        start_kernel: StartKernel,
        workspace: Workspace,
        limits: ContextLimits,
        tasks: anyio.abc.TaskGroup,
        identify: Callable[[], str],
    ) -> None:
        self._kernelspecs = kernelspecs
        self._start_kernel = start_kernel
        self._workspace = workspace
        self._limits = limits
        self._tasks = tasks
        self._identify = identify
        self.harvests: Harvests = NO_HARVESTS
        self._all: dict[str, Context] = {}
        self._defaults: dict[str, Context] = {}
        self._open = True

    def get(self, context_id: str) -> Context:
        """The context with this id. Raises ContextNotFound."""
        try:
            return self._all[context_id]
        except KeyError:
            raise ContextNotFound(context_id) from None

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

    async def create(self, language: str, cwd: str | None = None) -> Context:
        """A new context with a living kernel. Raises UnknownLanguage, TooManyContexts, KernelFailed."""
        context = self._add(self._kernelspecs.get(language), cwd)
        try:
            await context.warm()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._remove(context)
            raise
        return context

    def default(self, language: str, cwd: str | None = None) -> Context:
        """The language's default context, made when there is none; `cwd` counts only then. Its kernel starts with
        its first run. Raises UnknownLanguage, TooManyContexts."""
        spec = self._kernelspecs.get(language)
        if language not in self._defaults:
            self._defaults[language] = self._add(spec, cwd)
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
        self._open = False
        async with anyio.create_task_group() as group:
            for context in self.list():
                group.start_soon(context.close, ending)

    def _add(self, spec: KernelSpec, cwd: str | None) -> Context:
        if not self._open:
            raise ShuttingDown
        if len(self._all) >= self._limits.contexts:
            raise TooManyContexts(self._limits.contexts)
        folder = self._workspace.usable(cwd)
        context = Context(self._identify(), spec, folder, self._limits, self._start_kernel)
        context.harvests = self.harvests
        self._all[context.id] = context
        self._tasks.start_soon(context.serve)
        log.info("context_created", context_id=context.id, language=context.language)
        return context

    async def _remove(self, context: Context) -> None:
        self._all.pop(context.id, None)
        if self._defaults.get(context.language) is context:
            del self._defaults[context.language]
        await context.close(CONTEXT_DELETED)
        log.info("context_deleted", context_id=context.id)
