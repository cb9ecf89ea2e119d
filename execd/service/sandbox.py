"""The sandbox: the place that contexts run in. It owns their folders, their environment and the way kernels start."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import zmq

from execd.errors import ContextNotFound
from execd.kernel.kernel import Kernel
from execd.kernel.kernelspec import KernelSpec, Kernelspecs, bundled_kernels
from execd.service.context import Context, ContextLimits
from execd.service.contexts import Contexts
from execd.service.environment import sandbox_environment
from execd.service.execution import ExecuteRequest, Execution
from execd.service.executions import Executions
from execd.service.folders import Folders
from execd.settings import Settings

_ZMQ_MOST_SOCKETS = 65536
_IDLE_CHECKS_A_TIMEOUT = 4


class Sandbox:
    """Where code runs: contexts, executions and what they share. Made by `open_sandbox`."""

    def __init__(
        self, settings: Settings, contexts: Contexts, executions: Executions, kernelspecs: Kernelspecs
    ) -> None:
        self.settings = settings
        self.contexts = contexts
        self.executions = executions
        self.kernelspecs = kernelspecs

    def submit(self, context: Context, request: ExecuteRequest) -> Execution:
        """A recorded execution at the end of the context's line. Raises what the context's `submit` does."""
        context.check_room()
        execution = self.executions.new(request, context.id, context.language)
        context.submit(execution)
        return execution

    async def cancel(self, execution: Execution) -> None:
        """Stop an execution, wherever it is in its life; returns when it has ended."""
        try:
            await self.contexts.get(execution.context_id).cancel(execution)
        except ContextNotFound:
            # It was deleted, which ends its executions, if it has not done so already.
            await execution.ended.wait()

    async def close(self) -> None:
        """End every run and every context. Safe to call twice."""
        await self.contexts.close()


class KernelStarter:
    """Starts kernels in one sandbox: its environment, its runtime folder, one ZMQ context for all."""

    def __init__(self, settings: Settings, runtime_dir: Path) -> None:
        self._settings = settings
        self._runtime_dir = runtime_dir
        self._env = sandbox_environment(os.environ, settings.kernel_env)
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zmq.set(zmq.MAX_SOCKETS, _ZMQ_MOST_SOCKETS)

    async def __call__(self, spec: KernelSpec, cwd: Path) -> Kernel:
        """A ready kernel, started in `cwd`. Raises KernelStartFailed."""
        env = self._env | {"PWD": str(cwd), "IPYTHONDIR": str(self._runtime_dir / "ipython")}
        return await Kernel.start(self._zmq, spec, self._runtime_dir, cwd, env, self._settings.kernel_start_timeout)

    def close(self) -> None:
        """Give ZMQ's threads and sockets back."""
        self._zmq.destroy(linger=0)


@asynccontextmanager
async def open_sandbox(settings: Settings) -> AsyncIterator[Sandbox]:
    """The service's sandbox while the block runs; every kernel and folder of its making is gone afterwards.

    Raises FolderInUse or OSError when the data folder cannot be used.
    """
    kernelspecs = Kernelspecs.read(settings.kernels_dir or bundled_kernels(), settings.kernel_python)
    limits = ContextLimits(settings.max_queue, settings.run_timeout, settings.run_timeout_max, settings.interrupt_grace)
    with Folders.claim(settings) as folders:
        starter = KernelStarter(settings, folders.runtime)
        executions = Executions(settings, folders.journals)
        try:
            async with anyio.create_task_group() as tasks:
                contexts = Contexts(kernelspecs, starter, folders.workspace, limits, settings.max_contexts, tasks)
                if settings.context_idle_timeout:
                    tasks.start_soon(_hibernate_idle, contexts, settings.context_idle_timeout)
                sandbox = Sandbox(settings, contexts, executions, kernelspecs)
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
