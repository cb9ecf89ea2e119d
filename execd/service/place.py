"""Where a sandbox is. Whatever starts processes in it, touches its files or reaches its network does so through its
`Place`; a `Places` makes one for each sandbox.

Here is the place without walls: the machine as it is, of which each sandbox has a folder.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from execd.errors import FreezeUnavailable, NotOffered
from execd.isolation.guarantees import enforcement, guarantees
from execd.isolation.launch import Launcher
from execd.isolation.plan import Limits, Mode, Plan
from execd.isolation.root import Root
from execd.isolation.trees import wipe
from execd.kernel.connection import Runtime
from execd.service.capabilities import Capabilities
from execd.service.execution import DEFAULT_SANDBOX
from execd.service.folders import Folders
from execd.service.metrics import Machine
from execd.service.narrowing import Narrowing
from execd.service.packages import SHARED_PACKAGES
from execd.service.proxy import machine_socket
from execd.service.record import SandboxRecord
from execd.settings import Settings
from execd.waiting import Occasion
from execd.warden.client import Enclosure
from execd.warden.keeper import Keeper


class Place(Protocol):
    """Where one sandbox is. Paths are as the sandbox sees them, but for those named `…_folder` and `…_file`, which are
    the service's own view of the same things."""

    workspace: Path
    env_file: Path
    runtime: Runtime
    cache: Path
    variables: Mapping[str, str]
    owner: tuple[int, int] | None
    machine: Machine
    shares_network: bool
    root: Root

    @property
    def launcher(self) -> Launcher:
        """Starts processes in the sandbox."""

    @property
    def lost(self) -> Occasion:
        """Set when it has ended without being closed, and everything in it."""

    @property
    def workspace_folder(self) -> Path:
        """The folder of the machine that the workspace is."""

    @property
    def scratch(self) -> tuple[Path, ...]:
        """The folders of the sandbox's own, its home left out, that things are put into: paths inside."""

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A new TCP socket of the network that the sandbox has."""

    def narrow(self, rules: Narrowing | None) -> None:
        """Let these rules hold for what it reaches through its proxy."""

    def oom_kills(self) -> int:
        """How many of its processes were killed because all of them took too much memory."""

    async def freeze(self) -> None:
        """Stop every process of the sandbox where it is. Raises FreezeUnavailable, OSError."""

    async def thaw(self) -> None:
        """Let them go on. Raises OSError."""

    async def close(self) -> None:
        """End what still runs and remove what the sandbox leaves. Safe to call twice."""


class Places(Protocol):
    """Makes places."""

    @property
    def capabilities(self) -> Capabilities:
        """What they are."""

    async def check(self) -> None:
        """Raise OSError where none could be made now."""

    async def open(self, record: SandboxRecord) -> Place:
        """A place for this sandbox, empty. Raises NotOffered, OSError."""

    async def adopt(self, record: SandboxRecord, enclosure: Enclosure) -> Place:
        """The place of a sandbox that an earlier service has left, with all that is in it. Raises NotOffered where
        places are others now, and OSError; then it is closed."""


@dataclass(eq=False)
class MachinePlace:
    """The machine as it is. `removed` is the folder that goes with the sandbox, None when nothing does."""

    enclosure: Enclosure
    workspace: Path
    env_file: Path
    runtime: Runtime
    cache: Path
    variables: Mapping[str, str]
    removed: Path | None = None
    owner: tuple[int, int] | None = None
    shares_network: bool = True
    machine: Machine = field(default_factory=Machine)
    root: Root = field(default_factory=Root.machine)

    @property
    def launcher(self) -> Launcher:
        """Starts processes on the machine."""
        return self.enclosure

    @property
    def lost(self) -> Occasion:
        """Set when the warden has ended."""
        return self.enclosure.lost

    @property
    def workspace_folder(self) -> Path:
        """The same: there are no walls to look through."""
        return self.workspace

    @property
    def scratch(self) -> tuple[Path, ...]:
        """The workspace alone: what else there is for temporary things is everybody's."""
        return (self.workspace,)

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A new TCP socket of the machine's network."""
        return machine_socket(family)

    def narrow(self, rules: Narrowing | None) -> None:
        """Nothing: there is no proxy to narrow."""

    def oom_kills(self) -> int:
        """None that could be told from those of the rest of the machine."""
        return 0

    async def freeze(self) -> None:
        """Refused: what belongs to a sandbox cannot be told from the rest of the machine. Raises FreezeUnavailable."""
        raise FreezeUnavailable

    async def thaw(self) -> None:
        """Refused as well. Raises FreezeUnavailable."""
        raise FreezeUnavailable

    async def close(self) -> None:
        """End what still runs, and remove the sandbox's folders. Safe to call twice."""
        await self.enclosure.close()
        self.root.close()
        for folder in (self.removed, self.runtime.host):
            if folder is not None and self.removed is not None:
                await to_thread.run_sync(wipe, folder)


class MachinePlaces:
    """Places on the machine. The sandbox `default` has the configured workspace, and the service's HOME; each other
    one has a workspace, a home and variables below `sandboxes/` in the data folder."""

    capabilities = Capabilities(
        mode=Mode.PROCESS,
        freeze=False,
        volumes=False,
        guarantees=guarantees(Mode.PROCESS, own_users=False, landlock_abi=0, controllers=frozenset()).holds,
        not_covered=(
            "code runs as the user that the service runs as, and can read and write whatever that user can",
            "sandboxes see each other's processes and files",
            "sandboxes use the machine's network as it is",
            "no limit of memory, CPU, processes or disk space is enforced",
        ),
        limits=enforcement(Mode.PROCESS, version=None, controllers=frozenset()),
        networks=("full",),
        network="full",
        packages=SHARED_PACKAGES,
    )

    def __init__(self, settings: Settings, folders: Folders, keeper: Keeper, ordinary_files: int | None = None) -> None:
        """`ordinary_files` is the soft limit of open files that is to hold for what runs there, where the service's own
        is another."""
        self._limits = Limits(open_files=ordinary_files)
        self._settings = settings
        self._folders = folders
        self._keeper = keeper

    async def check(self) -> None:
        """Raise OSError unless the warden can be reached."""
        await self._keeper.warden()

    async def open(self, record: SandboxRecord) -> Place:
        """A place for this sandbox. Raises NotOffered for volumes, OSError."""
        if record.wanted.volumes:
            raise NotOffered("there are no volumes here: mounting them takes walls; GET /v1/capabilities says more")
        warden = await self._keeper.warden()
        if record.id == DEFAULT_SANDBOX:
            home = os.environ.get("HOME", str(self._folders.workspace))
            enclosure = await warden.open(self._plan(record, self._folders.workspace, Path(home)))
            return self._place(enclosure, self._folders.env_file, self._folders.runtime)
        folder = self._folders.sandboxes / record.id
        runtime = self._folders.runtime / record.id
        for made in (folder, folder / "workspace", folder / "home", runtime):
            made.mkdir(mode=0o700)
        (folder / "envs").touch(mode=0o600)
        plan = self._plan(record, folder / "workspace", folder / "home")
        return self._place(await warden.open(plan), folder / "envs", runtime, folder)

    async def adopt(self, record: SandboxRecord, enclosure: Enclosure) -> Place:
        """The place of a sandbox that an earlier service has left. Raises NotOffered for one with walls."""
        if enclosure.plan.mode is not Mode.PROCESS:
            await enclosure.close()
            raise NotOffered(f"its walls are {enclosure.plan.mode}, and this service has none")
        if record.id == DEFAULT_SANDBOX:
            return self._place(enclosure, self._folders.env_file, self._folders.runtime)
        folder = self._folders.sandboxes / record.id
        return self._place(enclosure, folder / "envs", self._folders.runtime / record.id, folder)

    def _plan(self, record: SandboxRecord, workspace: Path, home: Path) -> Plan:
        return Plan(record.id, Mode.PROCESS, None, str(workspace), str(home), limits=self._limits)

    def _place(self, enclosure: Enclosure, env_file: Path, runtime: Path, removed: Path | None = None) -> MachinePlace:
        programs = f"{self._settings.kernel_python.parent}:{os.environ.get('PATH', os.defpath)}"
        # `pip` and `python` are those of the kernels.
        variables = {"PATH": programs, "HOME": enclosure.plan.home}
        return MachinePlace(
            enclosure,
            Path(enclosure.plan.workspace),
            env_file,
            Runtime(runtime, runtime),
            self._folders.cache,
            variables,
            removed,
        )
