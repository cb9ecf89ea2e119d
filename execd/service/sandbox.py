"""The sandbox: the place that contexts run in, with all that lives there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import anyio.abc

from execd.errors import ContextNotFound, ExecdError, ExecutionNotFound, StorageFull
from execd.events import Error, Reason, Status
from execd.identifiers import new_id
from execd.kernel.kernelspec import Kernelspecs
from execd.kernel.request import ExecuteRequest
from execd.kernel.variables import check
from execd.service.artifacts import Artifacts
from execd.service.commands import Commands, Family
from execd.service.context import SERVICE_ENDED, Context
from execd.service.context_limits import ContextLimits
from execd.service.contexts import CONTEXT, Contexts
from execd.service.environment import Environment, sandbox_environment
from execd.service.execution import Asked, Execution, Origin
from execd.service.executions import Executions, SandboxExecutions
from execd.service.files import Files
from execd.service.journal import now_ms
from execd.service.keeping import ContextKeep
from execd.service.links import Links
from execd.service.meters import Meters
from execd.service.metrics import Metrics
from execd.service.part_uploads import PartUploads
from execd.service.paths import Paths
from execd.service.place import Place
from execd.service.proxy import Proxy
from execd.service.record import SandboxRecord
from execd.service.registry import Registry
from execd.service.run import Ending
from execd.service.run_artifacts import SandboxArtifacts
from execd.service.starter import KernelStarter, ZmqContext
from execd.service.terminals import Terminals
from execd.service.warm import WarmKernels
from execd.service.watch import Watches
from execd.service.workspace import Workspace
from execd.settings import Settings
from execd.waiting import Occasion


@dataclass(frozen=True, slots=True)
class Common:
    """What the sandboxes of a service share. Whatever runs in them belongs to `tasks`."""

    settings: Settings
    kernelspecs: Kernelspecs
    executions: Executions
    artifacts: Artifacts
    links: Links
    meters: Meters
    zmq: ZmqContext
    registry: Registry
    tasks: anyio.abc.TaskGroup


@dataclass(eq=False)
class Sandbox:
    """Where code runs: contexts, executions, files and what they share. Made by `furnish`."""

    id: str
    place: Place
    settings: Settings
    kernelspecs: Kernelspecs
    executions: SandboxExecutions
    artifacts: SandboxArtifacts
    warm: WarmKernels
    contexts: Contexts
    sessions: Contexts
    commands: Commands
    files: Files
    meters: Meters
    terminals: Terminals
    proxy: Proxy
    metrics: Metrics
    watches: Watches
    starter: KernelStarter
    registry: Registry
    mark: str
    part_uploads: PartUploads = field(default_factory=PartUploads)
    gone: Occasion = field(default_factory=Occasion)
    _touched_at: int = field(default_factory=now_ms)
    _visitors: int = 0
    _keyed: anyio.Lock = field(default_factory=anyio.Lock)

    @classmethod
    def furnish(cls, record: SandboxRecord, place: Place, common: Common, mark: str = "") -> Sandbox:
        """A sandbox in this place; `mark` is what the commands of one that an earlier service has left are marked
        with. Raises WorkingFolderUnusable when its cwd cannot be made."""
        settings = common.settings
        root = place.root
        cwd = Workspace(root, Workspace(root, place.workspace).usable(record.wanted.cwd))
        environment = _environment(record, place, settings)
        executions = common.executions.of(record.id, record.tenant)
        starter = KernelStarter(common.zmq, place, environment, settings, common.meters, common.tasks)
        make = partial(Contexts, common.kernelspecs, starter, cwd, ContextLimits.of(settings), common.tasks)
        family = Family(mark or uuid.uuid4().hex, place.owner)
        made = cls(
            id=record.id,
            place=place,
            settings=settings,
            kernelspecs=common.kernelspecs,
            executions=executions,
            artifacts=SandboxArtifacts(common.artifacts, root, place.workspace),
            warm=starter.warm,
            contexts=make(ContextKeep(partial(new_id, CONTEXT), common.registry, record.id, "context")),
            sessions=make(ContextKeep(lambda: str(uuid.uuid4()), common.registry, record.id, "session")),
            commands=Commands(executions, place.launcher, environment, cwd, common.tasks, family),
            files=Files(root, Paths(cwd.path, environment.lasting, root.accounts)),
            meters=common.meters,
            terminals=Terminals(place.launcher, environment, cwd, settings.max_terminals, common.tasks),
            proxy=Proxy(settings.port if place.shares_network else 0, place.socket),
            metrics=Metrics(place.machine),
            watches=Watches(root),
            starter=starter,
            registry=common.registry,
            mark=family.mark,
        )
        made.contexts.harvests = made.sessions.harvests = made.artifacts
        return made

    async def submit(self, context: Context, request: ExecuteRequest, asked: Asked | None = None) -> Execution:
        """A recorded execution at the end of the context's line; the one that was made with the same key, if there is
        one. Recorded is the time limit that it has. Raises what the context's `submit` does, and StorageFull; for
        `envs` that it cannot have EnvsUnavailable and InvalidRequest."""
        asked = asked or Asked()
        check(request.envs, context.spec)
        async with self._keyed if asked.key else nullcontext():
            known = await self.executions.by_key(asked.key) if asked.key else None
            if known is not None:
                return known
            with context.room():
                origin = Origin(
                    new_id("run"),
                    context.id,
                    context.language,
                    dialect=asked.dialect,
                    detail=dict(asked.detail),
                    key=asked.key,
                    webhook_url=asked.webhook_url,
                )
                limited = replace(request, timeout=context.limits.timeout(request.timeout))
                execution = await self.executions.new(limited, origin)
            try:
                context.submit(execution)
            except ExecdError as error:
                execution.fail(Reason.SANDBOX_LOST, Error(type(error).__name__, str(error)))
                raise
            return execution

    def context_of(self, execution: Execution) -> Context:
        """The context or session that an execution runs in. Raises ContextNotFound, for a command's too."""
        return self._holder(execution.context_id or "")

    async def interrupt(self, identity: str) -> Execution | None:
        """Stop what this id names: what runs in a context, an execution, a command. Returns the execution once it has
        ended, None where nothing ran. Raises ContextNotFound, ExecutionNotFound, NotRunning."""
        if self.commands.has(identity):
            return await self.commands.stop(identity)
        try:
            execution = await self.executions.get(identity)
        except ExecutionNotFound:
            return await self._holder(identity).interrupt()
        try:
            await self.context_of(execution).cancel(execution)
        except ContextNotFound:
            # It was deleted, which ends its executions, if it has not done so already.
            await execution.ended.wait()
        return execution

    async def cancel(self, execution: Execution) -> None:
        """Ask for the end of what runs in a context or waits there. What waits has ended when this returns; what runs
        is stopped by the ladder, which nobody waits for here."""
        try:
            context = self.context_of(execution)
        except ContextNotFound:
            # It was deleted, which ends its executions.
            return
        if execution.status is Status.QUEUED:
            await context.cancel(execution)
        else:
            execution.cancel()
        with suppress(StorageFull):
            await self.executions.keep()

    def count_waiting(self) -> int:
        """How many executions wait for their turn, in contexts and sessions."""
        return self.contexts.count_waiting() + self.sessions.count_waiting()

    def count_kernels(self) -> int:
        """How many interpreters live, those of sessions included."""
        return self.contexts.count_kernels() + self.sessions.count_kernels()

    @property
    def busy(self) -> bool:
        """Whether anything runs here, or anybody is here: a sandbox that is busy is not idle."""
        return bool(
            self._visitors
            or self.commands.count_running()
            or self.contexts.busy()
            or self.sessions.busy()
            or len(self.watches)
        )

    @property
    def active_at(self) -> int:
        """When it was used last, as far as anybody has looked; Unix ms."""
        if self.busy:
            self.touch()
        return max(self._touched_at, self.executions.last_end())

    def was_used_at(self, at: int) -> None:
        """It was used last at this time, in Unix ms, before this service had it."""
        self._touched_at = at

    def touch(self) -> None:
        """Note that somebody uses the sandbox now."""
        self._touched_at = now_ms()

    @contextmanager
    def visited(self) -> Iterator[None]:
        """Somebody uses the sandbox as long as the block runs."""
        self._visitors += 1
        try:
            yield
        finally:
            self._visitors -= 1
            self.touch()

    async def close(self, ending: Ending = SERVICE_ENDED) -> None:
        """End every run, command, context, terminal and watch, the runs like this. The place stays, and what comes
        through the proxy goes on until `leave`. Safe to call twice."""
        self.watches.close()
        self.metrics.close()
        self.part_uploads.close()
        async with anyio.create_task_group() as group:
            group.start_soon(self.warm.close)
            group.start_soon(self.contexts.close, ending)
            group.start_soon(self.sessions.close, ending)
            group.start_soon(self.commands.close, ending)
            group.start_soon(self.terminals.close)
        self.artifacts.close()

    async def leave_alone(self) -> None:
        """Do nothing more in it, and leave what runs to a later service: contexts with their kernels, and commands.
        Terminals, watches and kernels that wait for somebody end."""
        self.watches.close()
        self.metrics.close()
        self.part_uploads.close()
        async with anyio.create_task_group() as group:
            group.start_soon(self.warm.close)
            group.start_soon(self.contexts.leave)
            group.start_soon(self.sessions.leave)
            group.start_soon(self.commands.leave)
            group.start_soon(self.terminals.close)

    async def leave(self) -> None:
        """Close what still comes through the proxy, then the place, with all that is in it. Raises OSError."""
        await self.proxy.close()
        await self.place.close()

    def _holder(self, identity: str) -> Context:
        return self.sessions.get(identity) if self.sessions.has(identity) else self.contexts.get(identity)


def _environment(record: SandboxRecord, place: Place, settings: Settings) -> Environment:
    fixed = {
        # Clients of the code interpreter wait until something listens on this port: we do.
        "JUPYTER_PORT": str(settings.port),
        **place.variables,
        **record.wanted.envs,
    }
    return Environment(place.root, sandbox_environment(os.environ, settings.kernel_env), fixed, place.env_file)
