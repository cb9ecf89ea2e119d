"""Starts the kernels of one sandbox, in its place."""

from __future__ import annotations

import time
from pathlib import Path

import zmq

from execd.kernel.bash import BashKernel
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.kernelspec import KernelSpec
from execd.service.environment import Environment
from execd.service.meters import Meters
from execd.service.place import Place

ZmqContext = zmq.Context[zmq.Socket[bytes]]

_MOST_SOCKETS = 65536


def open_zmq() -> ZmqContext:
    """The ZMQ context of a service: one for all kernels, for each has threads of its own."""
    context: ZmqContext = zmq.Context()
    context.set(zmq.MAX_SOCKETS, _MOST_SOCKETS)
    return context


class KernelStarter:
    """Starts kernels in one sandbox: its environment, its runtime folder, the service's ZMQ context."""

    def __init__(
        self, context: ZmqContext, place: Place, environment: Environment, timeout: float, meters: Meters
    ) -> None:
        self._zmq = context
        self._place = place
        self._environment = environment
        self._timeout = timeout
        self._meters = meters

    async def __call__(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        """A ready interpreter, started in `cwd`. Raises KernelStartFailed."""
        began = time.monotonic()
        started = await self._start(spec, cwd)
        self._meters.kernel_started(spec.language, time.monotonic() - began)
        return started

    async def _start(self, spec: KernelSpec, cwd: Path) -> Interpreter:
        if spec.engine == "bash":
            return await BashKernel.start(self._place.launcher, spec, cwd, self._environment.build(cwd))
        runtime = self._place.runtime
        # Each would otherwise write into the user's home, and matplotlib would say so in the first run's output.
        private = {"IPYTHONDIR": str(runtime.inside / "ipython"), "MPLCONFIGDIR": str(self._place.cache / "matplotlib")}
        env = {**private, **self._environment.build(cwd)}
        return await Kernel.start(KernelStart(self._zmq, self._place.launcher, runtime, self._timeout), spec, cwd, env)
