"""A service that is killed while interpreters run: a program for tests of adopting.

    python -m tests.kernel.left_behind WARDEN_FOLDER RUNTIME_FOLDER LANGUAGE BEFORE THEN UNTIL

starts an interpreter, runs BEFORE to its end and THEN until it has said UNTIL, prints what is saved of it, and waits
to be killed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import zmq

from execd.events import Event, InputRequest, Output
from execd.isolation.plan import Mode, Plan
from execd.kernel.bash import BashKernel, BashStart
from execd.kernel.connection import Runtime
from execd.kernel.interpreter import Interpreter
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.kernelspec import Kernelspecs, bundled_kernels
from execd.kernel.request import ExecuteRequest
from execd.kernel.trace import to_json
from execd.warden.client import Enclosure, Warden

SANDBOX = "sb_left"
PATIENCE = 60


def environment() -> dict[str, str]:
    """What interpreters are given."""
    return {"PATH": os.environ["PATH"], "HOME": "/tmp", "LANG": "C.UTF-8"}


def kernelspecs() -> Kernelspecs:
    """The languages there are."""
    return Kernelspecs.read(bundled_kernels(), Path(sys.executable))


def starting(enclosure: Enclosure, runtime: Path) -> KernelStart:
    """How kernels are started, and adopted."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    return KernelStart(context, enclosure, Runtime(runtime, runtime), 60)


async def main(*arguments: str) -> None:
    """Be that service."""
    warden_folder, runtime, language, before, then, until = arguments
    warden = await Warden.reach(Path(warden_folder), PATIENCE)
    enclosure = await warden.open(Plan(SANDBOX, Mode.PROCESS, None, "/tmp", "/tmp"))
    kernel = await _started(enclosure, Path(runtime), language)
    await _run(kernel, before, "", "run_1")
    if then:
        await _run(kernel, then, until, "run_2")
    sys.stdout.write(json.dumps(to_json(kernel.trace)) + "\n")
    sys.stdout.flush()
    await anyio.sleep_forever()


async def _started(enclosure: Enclosure, runtime: Path, language: str) -> Interpreter:
    spec = kernelspecs().get(language)
    if spec.engine == "bash":
        return await BashKernel.start(BashStart(enclosure, Path("/tmp"), environment()), spec)
    return await Kernel.start(starting(enclosure, runtime), spec, Path("/tmp"), environment())


async def _run(kernel: Interpreter, code: str, until: str, name: str) -> None:
    said, news = "", anyio.Event()

    def emit(event: Event) -> None:
        nonlocal said
        if isinstance(event, Output | InputRequest):
            said += event.text if isinstance(event, Output) else event.prompt
        wake()

    def wake() -> None:
        news.set()

    request = kernel.execute(ExecuteRequest(code, allow_stdin=True), emit, wake, name)
    while not (until in said if until else request.ended):
        await news.wait()
        news = anyio.Event()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:7])
