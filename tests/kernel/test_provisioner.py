"""Kernels of programs that know jupyter_client and nothing of execd, from a warden that somebody else has started."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from execd.isolation.plan import Mode, Plan
from execd.kernel.provisioner import PROVISIONER_NAME, LauncherProvisioner
from execd.warden.client import Enclosure, Warden
from tests.warden.tools import state, until

KERNEL = Path(__file__).parents[2] / "kernels" / "python" / "kernel.py"


@pytest.fixture
async def enclosure() -> AsyncIterator[tuple[Enclosure, Path]]:
    """A sandbox, and the folder of its warden."""
    with tempfile.TemporaryDirectory(prefix="execd-test-", dir="/tmp") as name:
        warden = await Warden.reach(Path(name), 60)
        opened = await warden.open(Plan("sb_p", Mode.PROCESS, None, name, name))
        yield opened, Path(name)
        await opened.close()
        await warden.end()


class OneSpec(KernelSpecManager):
    """A kernelspec that names the provisioner."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self._config = config

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        metadata = {"kernel_provisioner": {"provisioner_name": PROVISIONER_NAME, "config": self._config}}
        argv = [sys.executable, str(KERNEL), "-f", "{connection_file}"]
        return KernelSpec(argv=argv, language="python", display_name="Python", metadata=metadata)


@pytest.mark.parametrize("zygote", [True, False], ids=["forked", "executed"])
@pytest.mark.parametrize("where", ["launcher", "folder"])
async def test_a_kernel_manager_starts_restarts_interrupts_and_ends_kernels(
    enclosure: tuple[Enclosure, Path], where: str, *, zygote: bool
) -> None:
    opened, folder = enclosure
    config: dict[str, Any] = {"launcher": opened} if where == "launcher" else {"warden": str(folder), "sandbox": "sb_p"}
    manager = AsyncKernelManager(
        transport="ipc",
        ip=str(folder / "k"),
        connection_file=str(folder / "c.json"),
        kernel_spec_manager=OneSpec({**config, "zygote": zygote}),
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "MINE": "yes"}
    await manager.start_kernel(env=env, cwd=str(folder), stderr=None)
    assert isinstance(manager.provisioner, LauncherProvisioner)
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)

    async def value(expression: str) -> str:
        reply = await client.execute("", user_expressions={"x": expression}, reply=True, timeout=60)
        return str(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])

    assert await value("(__import__('os').environ['MINE'], __import__('os').getcwd())") == f"('yes', '{folder}')"
    first = manager.provisioner.pid or 0
    assert await value("__import__('os').getpid()") == str(first)
    assert await manager.is_alive()

    message = client.execute("print('on', flush=True)\nwhile True: pass")
    while (await client.get_iopub_msg(timeout=60))["content"].get("text") != "on\n":
        pass
    await manager.interrupt_kernel()
    reply = await client.get_shell_msg(timeout=60)
    assert (reply["parent_header"]["msg_id"], reply["content"]["ename"]) == (message, "KeyboardInterrupt")

    await manager.restart_kernel(now=True)
    await client.wait_for_ready(timeout=60)
    assert manager.provisioner.pid != first
    assert state(first) == ""
    assert await value("1 + 1") == "2"

    last = manager.provisioner.pid or 0
    await asyncio.wait_for(manager.shutdown_kernel(), 60)
    assert not manager.has_kernel or not await manager.is_alive()
    await until(lambda: state(last) == "")
    client.stop_channels()


async def test_a_kernel_that_dies_is_seen(enclosure: tuple[Enclosure, Path]) -> None:
    opened, folder = enclosure
    provisioner = LauncherProvisioner(launcher=opened)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    await provisioner.launch_kernel(["sleep", "1000"], env=env, cwd=str(folder))
    assert await provisioner.poll() is None
    os.kill(provisioner.pid or 0, signal.SIGKILL)
    assert await asyncio.wait_for(provisioner.wait(), 20) == -signal.SIGKILL
    assert not provisioner.has_process
    assert await provisioner.poll() == 0
