"""jupyter_client on a stock ipykernel, used as other servers use it: the manager, then the client's get_*_msg."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager, KernelManager

# ipykernel may drop the idle status under load; a server that waits for it waits for good, and so would we.
_SILENCE = 20.0


Walls = Callable[[Path], list[str]]


@dataclass(slots=True)
class Heard:
    """What a client heard of one run. `idle` is False when the end never came."""

    seconds: float = 0.0
    pieces: list[str] = field(default_factory=list)
    idle: bool = False

    @property
    def text(self) -> str:
        """What the code printed."""
        return "".join(self.pieces)

    def hear(self, message: dict[str, Any], msg_id: str) -> None:
        """Take one iopub message."""
        if message["parent_header"].get("msg_id") != msg_id:
            return
        content = message["content"]
        if message["msg_type"] == "stream":
            self.pieces.append(content["text"])
        self.idle = message["msg_type"] == "status" and content["execution_state"] == "idle"


class AsyncJupyter:
    """AsyncKernelManager and AsyncKernelClient, in an event loop that only they use."""

    def __init__(self, runner: asyncio.Runner, manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
        self._runner = runner
        self._manager = manager
        self._client = client

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self._manager.provisioner.pid)  # type: ignore[union-attr]

    def run(self, code: str) -> Heard:
        """Run code to its end."""
        return self._runner.run(self._run(code))

    def times(self, code: str, count: int) -> list[float]:
        """The seconds of each of `count` runs."""
        return self._runner.run(self._times(code, count))

    async def _times(self, code: str, count: int) -> list[float]:
        return [(await self._run(code)).seconds for _ in range(count)]

    async def _run(self, code: str) -> Heard:
        heard = Heard()
        started = time.perf_counter()
        msg_id = self._client.execute(code)
        try:
            while not heard.idle:
                heard.hear(await self._client.get_iopub_msg(timeout=_SILENCE), msg_id)
            await self._client.get_shell_msg(timeout=_SILENCE)
        except Empty:
            heard.idle = False
        heard.seconds = time.perf_counter() - started
        return heard


@contextmanager
def async_jupyter(transport: str, walls: Walls | None = None) -> Iterator[AsyncJupyter]:
    """A stock ipykernel behind AsyncKernelManager, over `tcp` or `ipc`, that answers. `walls` is what goes in front of
    its command, given the one folder that it must be able to write."""
    with TemporaryDirectory(prefix="jc") as folder, asyncio.Runner() as runner:
        manager, client = runner.run(_start(transport, Path(folder), walls))
        try:
            yield AsyncJupyter(runner, manager, client)
        finally:
            runner.run(_stop(manager, client))


async def _start(transport: str, folder: Path, walls: Walls | None) -> tuple[AsyncKernelManager, AsyncKernelClient]:
    manager = AsyncKernelManager(transport=transport)
    if walls is not None:
        command = [*walls(folder), sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager._kernel_spec = KernelSpec(argv=command, language="python", display_name="walled")
        manager.connection_file = str(folder / "c.json")
    if transport == "ipc":
        manager.ip = str(folder / "s")
    await manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready()
    return manager, client


async def _stop(manager: AsyncKernelManager, client: AsyncKernelClient) -> None:
    client.stop_channels()
    await manager.shutdown_kernel(now=True)


class BlockingJupyter:
    """KernelManager and BlockingKernelClient."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def times(self, code: str, count: int) -> list[float]:
        """The seconds of each of `count` runs."""
        return [self._run(code).seconds for _ in range(count)]

    def _run(self, code: str) -> Heard:
        heard = Heard()
        started = time.perf_counter()
        msg_id = self._client.execute(code)
        while not heard.idle:
            heard.hear(self._client.get_iopub_msg(timeout=_SILENCE), msg_id)
        self._client.get_shell_msg(timeout=_SILENCE)
        heard.seconds = time.perf_counter() - started
        return heard


@contextmanager
def blocking_jupyter() -> Iterator[BlockingJupyter]:
    """A stock ipykernel behind KernelManager, over tcp, that answers."""
    manager = KernelManager()
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready()
        yield BlockingJupyter(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
