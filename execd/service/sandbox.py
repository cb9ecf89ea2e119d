"""The sandbox: the place that contexts run in. It owns their folders, their environment and the way kernels start."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import zmq

from execd.kernel.kernel import Kernel
from execd.kernel.kernelspec import KernelSpec, Kernelspecs, bundled_kernels
from execd.service.context import Context, ContextLimits
from execd.service.contexts import Contexts
from execd.service.environment import sandbox_environment
from execd.service.execution import ExecuteRequest, Execution
from execd.service.executions import Executions
from execd.service.files import Files
from execd.service.folders import Folders
from execd.service.meters import Meters
from execd.service.metrics import Metrics
from execd.service.paths import Paths
from execd.service.watch import Watches
from execd.settings import Settings

_ZMQ_MOST_SOCKETS = 65536
_IDLE_CHECKS_A_TIMEOUT = 4


class Sandbox:
    """Where code runs: contexts, executions and what they share. Made by `open_sandbox`."""

    def __init__(
        self,
        settings: Settings,
        contexts: Contexts,
        executions: Executions,
        kernelspecs: Kernelspecs,
        files: Files,
        meters: Meters,
    ) -> None:
        self.settings = settings
        self.contexts = contexts
        self.executions = executions
        self.kernelspecs = kernelspecs
        self.files = files
        self.meters = meters
        self.watches = Watches()
        self.metrics = Metrics()

    def submit(self, context: Context, request: ExecuteRequest) -> Execution:
        """A recorded execution at the end of the context's line. Raises QueueFull."""
        context.check_room()
        execution = self.executions.new(request, context.id, context.language)
        context.submit(execution)
        return execution

    async def cancel(self, execution: Execution) -> None:
        """Stop an execution, wherever it is in its life; returns when it has ended."""
        if not execution.ended.is_set():
            await self.contexts.get(execution.context_id).cancel(execution)

    async def close(self) -> None:
        """End every run, every context and every watch. Safe to call twice."""
        self.watches.close()
        self.metrics.close()
        await self.contexts.close()


class KernelStarter:
    """Starts kernels in one sandbox: its environment, its runtime folder, one ZMQ context for all."""

    def __init__(self, settings: Settings, runtime_dir: Path, env: dict[str, str], meters: Meters) -> None:
        self._settings = settings
        self._runtime_dir = runtime_dir
        self._env = env
        self._meters = meters
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zmq.set(zmq.MAX_SOCKETS, _ZMQ_MOST_SOCKETS)

    async def __call__(self, spec: KernelSpec, cwd: Path) -> Kernel:
        """A ready kernel, started in `cwd`. Raises KernelStartFailed."""
        env = self._env | {"PWD": str(cwd), "IPYTHONDIR": str(self._runtime_dir / "ipython")}
        began = time.monotonic()
        timeout = self._settings.kernel_start_timeout
        kernel = await Kernel.start(self._zmq, spec, self._runtime_dir, cwd, env, timeout)
        self._meters.kernel_started(spec.language, time.monotonic() - began)
        return kernel

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
    limits = ContextLimits(settings.max_queue, settings.run_timeout, settings.run_timeout_max, settings.interrupt_grace)
    env = sandbox_environment(os.environ, settings.kernel_env)
    with Folders.claim(settings) as folders:
        starter = KernelStarter(settings, folders.runtime, env, meters)
        executions = Executions(settings, folders.journals, meters)
        files = Files(Paths(folders.workspace, env))
        try:
            async with anyio.create_task_group() as tasks:
                contexts = Contexts(kernelspecs, starter, folders.workspace, limits, settings.max_contexts, tasks)
                if settings.context_idle_timeout:
                    tasks.start_soon(_hibernate_idle, contexts, settings.context_idle_timeout)
                sandbox = Sandbox(settings, contexts, executions, kernelspecs, files, meters)
                meters.show(contexts.count_waiting, contexts.count_kernels)
                try:
                    yield sandbox
                finally:
                    with anyio.CancelScope(shield=True):
                        await sandbox.close()
                    tasks.cancel_scope.cancel()
        finally:
            starter.close()


async def _hibernate_idle(contexts: Contexts, idle_timeout: float) -> None:
    while True:
        await anyio.sleep(idle_timeout / _IDLE_CHECKS_A_TIMEOUT)
        await contexts.hibernate_idle(idle_timeout)
