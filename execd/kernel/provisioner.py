"""Where kernels come from, for jupyter_client: a Launcher, of this process or of a warden that listens somewhere."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from execd.isolation.launch import Exit, Launch, Launcher, Started
from execd.warden.line import LineLauncher

PROVISIONER_NAME = "execd"
"""Its name in a kernelspec, and among the entry points of `jupyter_client.kernel_provisioners`."""


class LauncherProvisioner(LocalProvisioner):
    """A kernel that a Launcher starts, as the leader of a session of its own.

    In a kernelspec, for any program that uses jupyter_client:

        "metadata": {"kernel_provisioner": {
            "provisioner_name": "execd",
            "config": {"warden": "/the/wardens/folder", "sandbox": "sb_…", "zygote": true}}}

    Its command, working directory and connection file are as the sandbox sees them.
    """

    launcher: Any = traitlets.Any(help="A Launcher, in the process that has one.")
    warden: Any = traitlets.Unicode(help="The folder of a warden, where there is no Launcher.").tag(config=True)
    sandbox: Any = traitlets.Unicode(help="A sandbox that is open there.").tag(config=True)
    zygote: Any = traitlets.Bool(False, help="Whether the kernel is a fork of the zygote.").tag(config=True)

    started: Started | None = None
    """The kernel's process, once `launch_kernel` has returned."""
    _line: LineLauncher | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is a process that has not been waited for."""
        return self.started is not None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start it, held, with `fds`, `keep` and `label` as in a Launch, or with what Popen calls stdin, stdout and
        stderr. A kernel whose fds say nothing of these three gets nothing. Raises OSError."""
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            wanted = Launch(
                argv=tuple(cmd),
                cwd=str(kwargs.get("cwd") or Path.cwd()),
                env=kwargs["env"],
                fds={**dict.fromkeys(range(3), nothing), **_descriptors(kwargs)},
                held=True,
                keep=kwargs.get("keep", {}),
                label=kwargs.get("label", ""),
            )
            through = self._launcher()
            self.started = await through.fork_kernel(wanted) if self.zygote else through.launch(wanted)
        except OSError:
            self._let_go()
            raise
        finally:
            os.close(nothing)
        self.pid = self.pgid = self.started.pid
        return self.connection_info

    async def poll(self) -> int | None:
        """None while it runs, then how it ended."""
        if self.started is None:
            return 0
        return None if self.started.exit is None else self.started.exit.code

    async def wait(self) -> int | None:
        """How it ended, as soon as it has; its pid belongs to others then."""
        if self.started is None:
            return 0
        ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.started.on_exit(lambda how: None if ended.done() else ended.set_result(how))
        how = await ended
        self._let_go()
        return how.code

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel and the processes that it has started in its group."""
        if self.started is not None:
            self.started.signal_group(signal.Signals(signum))

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002 - jupyter_client's signature
        """End it and its group."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002 - as above
        """Ask it and its group to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Let its number go."""
        self._let_go()
        await super().cleanup(restart)

    def _let_go(self) -> None:
        if self.started is not None:
            self.started.release()
            self.started = None
        if self._line is not None:
            self._line.close()
            self._line = None

    def _launcher(self) -> Launcher:
        if self.launcher is not None:
            given: Launcher = self.launcher
            return given
        if self._line is None:
            self._line = LineLauncher(Path(self.warden), self.sandbox)
        # Its `exit` is asked for when it is looked at, which the protocol's attribute allows and mypy does not.
        found: Any = self._line
        return found  # type: ignore[no-any-return]


def _descriptors(kwargs: Mapping[str, Any]) -> dict[int, int]:
    if "fds" in kwargs:
        return dict(kwargs["fds"])
    given = {number: kwargs.get(name) for number, name in enumerate(("stdin", "stdout", "stderr"))}
    given = {number: number if each is None and number else each for number, each in given.items()}
    return {number: fd for number, each in given.items() if (fd := _descriptor(each)) >= 0}


def _descriptor(given: Any) -> int:
    if given is None:
        return -1
    return given if isinstance(given, int) else int(given.fileno())
