"""Starts the kernels of one sandbox, in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path, PurePath

import anyio.abc
import zmq

from execd.kernel.bash import BashKernel, BashStart
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.kernelspec import KernelSpec
from execd.service.environment import Environment
from execd.service.meters import Meters
from execd.service.place import Place
from execd.service.warm import Like, WarmKernels
from execd.settings import Settings

ZmqContext = zmq.Context[zmq.Socket[bytes]]

_MOST_SOCKETS = 65536


def open_zmq() -> ZmqContext:
    """The ZMQ context of a service: one for all kernels, for each has threads of its own."""
    context: ZmqContext = zmq.Context()
    context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
    return context


class KernelStarter:
    """Starts kernels in one sandbox: its environment, its runtime folder, the service's ZMQ context. `warm` are those
    that wait."""

    def __init__(
        self,
        context: ZmqContext,
        place: Place,
        environment: Environment,
        settings: Settings,
        meters: Meters,
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        self.warm = WarmKernels(self._new, settings.warm_kernels, tasks)
        self._zmq = context
        self._place = place
        self._environment = environment
        self._timeout = settings.kernel_start_timeout
        self._meters = meters

    async def __call__(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        """A ready interpreter, started in `cwd`. Raises KernelStartFailed."""
        began = time.monotonic()
        started = await self._start(spec, cwd)
        self._meters.kernel_started(spec.language, time.monotonic() - began)
        return started

    async def _start(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        if spec.engine == "bash":
            return await BashKernel.start(BashStart(self._place.launcher, cwd, self._environment.build(cwd)), spec)
        runtime = self._place.runtime
        # Each would otherwise write into the user's home, and matplotlib would say so in the first run's output.
        private = {"IPYTHONDIR": str(runtime.inside / "ipython"), "MPLCONFIGDIR": str(self._place.cache / "matplotlib")}
        wanted = Like(spec, cwd, {**private, **self._environment.build(cwd)})
        kernel = await self.warm.take(wanted) or await self._new(wanted.spec, wanted.cwd, wanted.env)
        self.warm.ask(wanted)
        return kernel

    async def _new(self, spec: KernelSpec, cwd: PurePath, env: Mapping[str, str]) -> Kernel:
        place = self._place
        return await Kernel.start(KernelStart(self._zmq, place.launcher, place.runtime, self._timeout), spec, cwd, env)
