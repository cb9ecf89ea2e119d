"""Starts the kernels of one sandbox, in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import anyio.abc
import zmq

from execd.errors import KernelStartFailed
from execd.kernel.adopting import Claim
from execd.kernel.bash import BashKernel, BashStart
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.kernelspec import KernelSpec
from execd.kernel.trace import BashTrace, KernelTrace
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

    async def adopt(
        self, spec: KernelSpec, cwd: Path, saved: Mapping[str, Any], claim: Claim, request: str
    ) -> Interpreter:
        """The interpreter that an earlier service has left, of which this was saved; it may be carrying out `request`,
        if that is not "". Raises KernelStartFailed where it is gone."""
        try:
            if spec.engine == "bash":
                start = BashStart(self._place.launcher, cwd, self._environment.build(cwd))
                return await BashKernel.adopt(start, spec, BashTrace.from_json(saved), claim, request)
            return await Kernel.adopt(self._starting(), spec, KernelTrace.from_json(saved), claim, request)
        except (KeyError, TypeError, ValueError) as error:
            raise KernelStartFailed(spec.language, f"what was saved of it cannot be read: {error}") from error

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
        return await Kernel.start(self._starting(), spec, cwd, env)

    def _starting(self) -> KernelStart:
        return KernelStart(self._zmq, self._place.launcher, self._place.runtime, self._timeout)
