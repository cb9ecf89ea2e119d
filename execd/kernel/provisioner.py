"""How jupyter_client gets a kernel's process: from a `Launcher`, in whatever sandbox that is one of.

The entry point `execd` of the group `jupyter_client.kernel_provisioners` is this class; a kernelspec's metadata names
it under `kernel_provisioner`, with the launcher in its `config`
(https://jupyter-client.readthedocs.io/en/stable/provisioning.html).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

import anyio
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Any as AnyTrait
from traitlets import Bool

from execd.isolation.launch import Exit, Launch, Started

PROVISIONER_NAME = "execd"


class LauncherProvisioner(KernelProvisionerBase):
    """Starts one kernel. `started` is its process, held until `cleanup`, None before there is one."""

    launcher: Any = AnyTrait(help="The Launcher that starts it.").tag(config=True)
    zygote: Any = Bool(False, help="Whether it may be forked from a process that has imported its libraries.").tag(
        config=True
    )

    started: Started | None = None
    _ended: anyio.Event

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel that has not been cleaned up."""
        return self.started is not None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """What `launch_kernel` is to be given."""
        return {"cmd": [], **await super().pre_launch(**kwargs)}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it, with `env` and in `cwd`. `fds` are those of its descriptors, by their numbers, that are not
        empty. Raises OSError."""
        self._ended = anyio.Event()
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            fds: Mapping[int, int] = {0: nothing, 1: nothing, 2: nothing, **kwargs.get("fds", {})}
            wanted = Launch(tuple(cmd), kwargs.get("cwd") or "/", kwargs["env"], fds, held=True)
            self.started = await self._start(wanted)
        finally:
            os.close(nothing)
        self.started.on_exit(self._note_end)
        return self.connection_info

    async def poll(self) -> int | None:
        """The exit code of a kernel that has ended, None for one that runs."""
        return self.started.exit.code if self.started is not None and self.started.exit is not None else None

    async def wait(self) -> int | None:
        """Return its exit code once it has ended."""
        if self.started is None:
            return None
        await self._ended.wait()
        return await self.poll()

    async def send_signal(self, signum: int) -> None:
        """Signal it, with the processes that it started in its group."""
        if self.started is not None:
            self.started.signal_group(signal.Signals(signum))

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002
        """End it at once."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002
        """Ask it to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:  # noqa: ARG002
        """Let its number go."""
        if self.started is not None:
            self.started.release()
            self.started = None

    async def _start(self, wanted: Launch) -> Started:
        started: Started
        if self.zygote:
            started = await self.launcher.fork_kernel(wanted)
        else:
            started = self.launcher.launch(wanted)
        return started

    def _note_end(self, _: Exit) -> None:
        self._ended.set()
