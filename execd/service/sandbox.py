"""The sandbox: the place that contexts run in. It owns their folders, their environment and the way kernels start."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import zmq

from execd.errors import ContextNotFound
from execd.identifiers import new_id
from execd.isolation.root import Root
from execd.kernel.bash import BashKernel
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel
from execd.kernel.kernelspec import KernelSpec, Kernelspecs, bundled_kernels
from execd.kernel.request import ExecuteRequest
from execd.service.commands import Commands
from execd.service.context import Context, ContextLimits
from execd.service.contexts import Contexts
from execd.service.environment import Environment, sandbox_environment
from execd.service.execution import Execution, Origin
from execd.service.executions import Executions
from execd.service.files import Files
from execd.service.folders import Folders
from execd.service.meters import Meters
from execd.service.metrics import Metrics
from execd.service.paths import Paths
from execd.service.proxy import Proxy
from execd.service.terminals import Terminals
from execd.service.watch import Watches
from execd.service.workspace import Workspace
from execd.settings import Settings

_ZMQ_MOST_SOCKETS = 65536
_IDLE_CHECKS_A_TIMEOUT = 4


@dataclass(eq=False)
class Sandbox:
    """Where code runs: contexts, executions, files and what they share. Made by `open_sandbox`."""

    settings: Settings
    kernelspecs: Kernelspecs
    executions: Executions
    contexts: Contexts
    sessions: Contexts
    commands: Commands
    files: Files
    meters: Meters
    terminals: Terminals
    proxy: Proxy
    watches: Watches
    metrics: Metrics = field(default_factory=Metrics)

    def submit(self, context: Context, request: ExecuteRequest) -> Execution:
        """A recorded execution at the end of the context's line. Raises what the context's `submit` does."""
        context.check_room()
        execution = self.executions.new(request, Origin(new_id("run"), context.id, context.language))
        context.submit(execution)
        return execution

    def context_of(self, execution: Execution) -> Context:
        """The context or session that an execution runs in. Raises ContextNotFound, for a command's too."""
        return self._holder(execution.context_id or "")

    async def interrupt(self, identity: str) -> Execution | None:
        """Stop what this id names: what runs in a context, an execution, a command. Returns the execution once it has
        ended, None where nothing ran. Raises ContextNotFound, ExecutionNotFound, NotRunning."""
        if self.commands.has(identity):
            return await self.commands.stop(identity)
        if not self.executions.has(identity):
            return await self._holder(identity).interrupt()
        execution = self.executions.get(identity)
        try:
            await self.context_of(execution).cancel(execution)
        except ContextNotFound:
            # It was deleted, which ends its executions, if it has not done so already.
            await execution.ended.wait()
        return execution

    def count_waiting(self) -> int:
        """How many executions wait for their turn, in contexts and sessions."""
        return self.contexts.count_waiting() + self.sessions.count_waiting()

    def count_kernels(self) -> int:
        """How many interpreters live, those of sessions included."""
        return self.contexts.count_kernels() + self.sessions.count_kernels()

    def _holder(self, identity: str) -> Context:
        return self.sessions.get(identity) if self.sessions.has(identity) else self.contexts.get(identity)

    async def close(self) -> None:
        """End every run, command, context, terminal and watch. Safe to call twice."""
        self.watches.close()
        self.metrics.close()
        async with anyio.create_task_group() as group:
            group.start_soon(self.contexts.close)
            group.start_soon(self.sessions.close)
            group.start_soon(self.commands.close)
            group.start_soon(self.terminals.close)


class KernelStarter:
    """Starts kernels in one sandbox: its environment, its runtime folder, one ZMQ context for all."""

    def __init__(self, environment: Environment, folders: Folders, timeout: float, meters: Meters) -> None:
        self._environment = environment
        self._runtime_dir = folders.runtime
        self._cache = folders.cache
        self._timeout = timeout
        self._meters = meters
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zmq.set(zmq.MAX_SOCKETS, _ZMQ_MOST_SOCKETS)

    async def __call__(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        """A ready interpreter, started in `cwd`. Raises KernelStartFailed."""
        began = time.monotonic()
        started = await self._start(spec, cwd)
        self._meters.kernel_started(spec.language, time.monotonic() - began)
        return started

    async def _start(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        if spec.engine == "bash":
            return await BashKernel.start(spec, cwd, self._environment.build(cwd))
        # Each would otherwise write into the user's home, and matplotlib would say so in the first run's output.
        private = {"IPYTHONDIR": str(self._runtime_dir / "ipython"), "MPLCONFIGDIR": str(self._cache / "matplotlib")}
        env = {**private, **self._environment.build(cwd)}
        return await Kernel.start(self._zmq, spec, self._runtime_dir, cwd, env, self._timeout)

    def close(self) -> None:
        """Give ZMQ's threads and sockets back."""
        self._zmq.destroy(linger=0)


@asynccontextmanager
async def open_sandbox(settings: Settings, meters: Meters) -> AsyncIterator[Sandbox]:
    """The service's sandbox while the block runs; every kernel and folder of its making is gone afterwards. What
    happens in it is counted by `meters`.

    Raises FolderInUse or OSError when the data folder cannot be used.
    """
    kernelspecs = Kernelspecs.read(settings.kernels_dir or bundled_kernels(), settings.kernel_python)
    limits = ContextLimits(
        settings.max_contexts,
        settings.max_queue,
        settings.run_timeout,
        settings.run_timeout_max,
        settings.interrupt_grace,
    )
    with Folders.claim(settings) as folders, closing(Root.machine()) as root:
        environment = _environment(settings, folders, root)
        workspace = Workspace(root, folders.workspace)
        starter = KernelStarter(environment, folders, settings.kernel_start_timeout, meters)
        executions = Executions(settings, folders.journals, meters)
        files = Files(root, Paths(folders.workspace, environment.lasting, root.accounts))
        try:
            async with Proxy.opened(settings.port) as proxy, anyio.create_task_group() as tasks:
                make = partial(Contexts, kernelspecs, starter, workspace, limits, tasks)
                contexts, sessions = make(partial(new_id, "ctx")), make(lambda: str(uuid.uuid4()))
                commands = Commands(executions, environment, workspace, tasks)
                terminals = Terminals(environment, workspace, settings.max_terminals, tasks)
                sandbox = Sandbox(
                    settings=settings,
                    kernelspecs=kernelspecs,
                    executions=executions,
                    contexts=contexts,
                    sessions=sessions,
                    commands=commands,
                    files=files,
                    meters=meters,
                    terminals=terminals,
                    proxy=proxy,
                    watches=Watches(root),
                )
                meters.show(sandbox.count_waiting, sandbox.count_kernels, commands.count_running)
                if settings.context_idle_timeout:
                    tasks.start_soon(_hibernate_idle, contexts, settings.context_idle_timeout)
                try:
                    yield sandbox
                finally:
                    with anyio.CancelScope(shield=True):
                        await sandbox.close()
                    tasks.cancel_scope.cancel()
        finally:
            starter.close()


def _environment(settings: Settings, folders: Folders, root: Root) -> Environment:
    programs = f"{settings.kernel_python.parent}:{os.environ.get('PATH', os.defpath)}"
    fixed = {
        # `pip` and `python` are those of the kernels.
        "PATH": programs,
        # Clients of the code interpreter wait until something listens on this port: we do.
        "JUPYTER_PORT": str(settings.port),
        "HOME": os.environ.get("HOME", str(folders.workspace)),
    }
    return Environment(root, sandbox_environment(os.environ, settings.kernel_env), fixed, folders.env_file)


async def _hibernate_idle(contexts: Contexts, idle_timeout: float) -> None:
    while True:
        await anyio.sleep(idle_timeout / _IDLE_CHECKS_A_TIMEOUT)
        await contexts.hibernate_idle(idle_timeout)
