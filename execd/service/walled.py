"""Places behind walls: one user, one file tree, one network and one set of limits for each sandbox.

Behind bubblewrap a sandbox sees its workspace, its home and its runtime folder at fixed paths, the kernels with their
Python where the machine has them, and nothing else. With Landlock it sees the machine, and may touch only these.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath

import anyio
import anyio.abc
import structlog
from anyio import to_thread

from execd.errors import NotOffered
from execd.isolation.cgroup import MEMORY
from execd.isolation.launch import Launcher
from execd.isolation.plan import Bind, Limits, Mode, Plan
from execd.isolation.root import Root
from execd.isolation.uplink import UplinkFailed
from execd.kernel.connection import Runtime
from execd.service.capabilities import Capabilities
from execd.service.doorbell import DOORBELL_PORT, answer_doorbell
from execd.service.egress import Egress, egress_environment, listen
from execd.service.execution import DEFAULT_SANDBOX
from execd.service.folders import Folders
from execd.service.limits import limits_of
from execd.service.metrics import Machine
from execd.service.narrowing import Narrowing
from execd.service.packages import FOLDER, lay_out, packages_environment, virtual_environment
from execd.service.place import Place
from execd.service.record import SandboxRecord
from execd.service.share import Share
from execd.service.sites import Site, sight
from execd.service.uplinks import plan_uplink
from execd.service.users import Users
from execd.service.walls import Walls
from execd.service.watchdog import Watchdog, Watched
from execd.settings import Settings
from execd.waiting import Occasion
from execd.warden.client import Enclosure
from execd.warden.keeper import Keeper

log = structlog.get_logger(__name__)

_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(eq=False)
class WalledPlace:
    """One sandbox's. `undo` has all that there is of it, what the service itself runs for it last: it ends first."""

    enclosure: Enclosure
    site: Site
    root: Root
    workspace: Path
    env_file: Path
    runtime: Runtime
    cache: Path
    variables: Mapping[str, str]
    owner: tuple[int, int] | None
    machine: Machine
    undo: AsyncExitStack
    shares_network: bool = False
    egress: Egress | None = None
    killed: int = 0

    @property
    def launcher(self) -> Launcher:
        """Starts processes in it."""
        return self.enclosure

    @property
    def lost(self) -> Occasion:
        """Set when it has ended without being closed."""
        return self.enclosure.lost

    @property
    def workspace_folder(self) -> Path:
        """The folder of the machine that the workspace is."""
        if self.site.in_memory:
            return Path(f"/proc/self/fd/{self.root.fd}{self.workspace}")
        return self.site.workspace_folder

    @property
    def scratch(self) -> tuple[Path, ...]:
        """The workspace, and what is there for temporary things."""
        shared = [Path("/dev/shm")] if self.enclosure.plan.mode is Mode.BWRAP else []
        return (self.workspace, Path(self.site.tmp), *shared)

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        """A new TCP socket of its network."""
        return self.enclosure.socket(family)

    def narrow(self, rules: Narrowing | None) -> None:
        """Let these rules hold for what it reaches through its proxy."""
        if self.egress is not None:
            self.egress.narrow(rules)

    def oom_kills(self) -> int:
        """How many of its processes were killed because all of them took too much memory."""
        return self.enclosure.oom_kills() + self.killed

    def count_kill(self) -> None:
        """One of its processes is about to be killed for the memory that all of them take."""
        self.killed += 1

    async def set_full(self, full: bool) -> None:
        """Its workspace has no room, or has some again. Raises OSError."""
        self.root.full = full
        await self.enclosure.let_write(allowed=not full)

    async def freeze(self) -> None:
        """Let every process in it stand still. Raises OSError."""
        await self.enclosure.freeze()

    async def thaw(self) -> None:
        """Let them go on. Raises OSError."""
        await self.enclosure.thaw()

    async def close(self) -> None:
        """End everything in it and remove its folders. Safe to call twice."""
        await self.undo.aclose()


@dataclass(frozen=True, slots=True)
class WalledPlaces:
    """Makes them. What the service runs for them belongs to `tasks`."""

    settings: Settings
    folders: Folders
    keeper: Keeper
    walls: Walls
    users: Users
    egress: Callable[[], Egress]
    watchdog: Watchdog
    tasks: anyio.abc.TaskGroup

    @property
    def capabilities(self) -> Capabilities:
        """What they are."""
        return self.walls.capabilities

    async def check(self) -> None:
        """Raise OSError unless the warden can be reached."""
        await self.keeper.warden()

    async def open(self, record: SandboxRecord) -> Place:
        """A place for this sandbox. Raises NotOffered, InvalidRequest, OSError."""
        if record.wanted.volumes and not self.capabilities.volumes:
            raise NotOffered(
                "there are no volumes here: mounting them takes bubblewrap; GET /v1/capabilities says more"
            )
        undo = AsyncExitStack()
        try:
            return await self._opened(record, undo)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await undo.aclose()
            raise

    async def adopt(self, record: SandboxRecord, enclosure: Enclosure) -> Place:
        """The place of a sandbox that an earlier service has left, with all that there is of it: it is closed as if it
        had been opened here. Raises NotOffered where the walls are others now, and OSError."""
        undo = AsyncExitStack()
        try:
            site = self._adopted_site(record, enclosure, undo)
            undo.push_async_callback(enclosure.close)
            if enclosure.plan.mode is not self.walls.mode:
                raise NotOffered(f"its walls are {enclosure.plan.mode}, and this service's are {self.walls.mode}")
            return self._entered(record, enclosure, site, undo)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await undo.aclose()
            raise

    def _adopted_site(self, record: SandboxRecord, enclosure: Enclosure, undo: AsyncExitStack) -> Site:
        uid = enclosure.plan.uid
        if uid is not None and record.id != DEFAULT_SANDBOX:
            self.users.claim(uid)
            undo.callback(self.users.give_back, uid)
        site = Site.adopted(enclosure.plan, self.folders.sandboxes / record.id, self.folders.runtime / record.id)
        undo.push_async_callback(to_thread.run_sync, site.remove)
        return site

    async def _opened(self, record: SandboxRecord, undo: AsyncExitStack) -> Place:
        uid = self._user(record, undo)
        limits = limits_of(record.wanted.limits, self.settings)
        site = self._site(record, limits)
        undo.push_async_callback(to_thread.run_sync, site.remove)
        await to_thread.run_sync(partial(self._furnish, site, uid))
        warden = await self.keeper.warden()
        enclosure = await warden.open(self._plan(record, site, uid, limits))
        undo.push_async_callback(enclosure.close)
        return self._entered(record, enclosure, site, undo)

    def _entered(self, record: SandboxRecord, enclosure: Enclosure, site: Site, undo: AsyncExitStack) -> Place:
        place = self._place(enclosure, site, enclosure.plan.uid, record.reach, undo)
        undo.callback(place.root.close)
        self._serve(place, record)
        self._guard(place, record)
        return place

    def _user(self, record: SandboxRecord, undo: AsyncExitStack) -> int | None:
        if not self.walls.own_users:
            return None
        if record.id == DEFAULT_SANDBOX:
            return self.users.default
        uid = self.users.take()
        undo.callback(self.users.give_back, uid)
        return uid

    def _site(self, record: SandboxRecord, limits: Limits) -> Site:
        folder = self.folders.sandboxes / record.id
        runtime = self.folders.runtime / record.id
        if record.id == DEFAULT_SANDBOX:
            return Site.of(self.walls.mode, folder, runtime, self.folders.workspace)
        size = limits.workspace_size
        fits = size is not None and size <= self.settings.sandbox_workspace_memory
        paths = {"workspace": record.wanted.workspace, "home": record.wanted.home}
        wanted = {name: path for name, path in paths.items() if path is not None}
        in_memory = fits and self.walls.mode is Mode.BWRAP
        return Site.of(self.walls.mode, folder, runtime, in_memory=in_memory, wanted=wanted)

    def _furnish(self, site: Site, uid: int | None) -> None:
        site.make(uid)
        venv = site.home_folder / FOLDER
        venv.mkdir()
        fd = os.open(venv, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            layout = virtual_environment(f"{site.home}/{FOLDER}", self.walls.python)
            lay_out(layout, fd, None if uid is None else (uid, uid))
            if uid is not None:
                os.fchown(fd, uid, uid)
        finally:
            os.close(fd)

    def _plan(self, record: SandboxRecord, site: Site, uid: int | None, limits: Limits) -> Plan:
        seen = sight(self.settings, self.walls.python)
        binds = (*site.binds(), *(Bind(path, path) for path in seen), *record.wanted.volumes)
        try:
            uplink = plan_uplink() if record.reach == "full" else None
        except UplinkFailed as failed:
            raise OSError(errno.ENETUNREACH, str(failed)) from None
        return Plan(record.id, self.walls.mode, uid, site.workspace, site.home, binds, limits, uplink=uplink)

    def _place(
        self, enclosure: Enclosure, site: Site, uid: int | None, network: str, undo: AsyncExitStack
    ) -> WalledPlace:
        owner = None if uid is None else (uid, uid)
        if self.walls.mode is Mode.LANDLOCK:
            root = Root.machine(owner, within=(site.workspace, site.home))
        else:
            root = Root(os.dup(enclosure.root), owner)
        programs = f"{self.settings.kernel_python.parent}:{_PROGRAMS}"
        variables = {
            "HOME": site.home,
            "USER": "user",
            "LOGNAME": "user",
            "TMPDIR": site.tmp,
            "JUPYTER_PORT": str(DOORBELL_PORT),
            **packages_environment(f"{site.home}/{FOLDER}", programs),
            **(egress_environment() if network == "proxy" else {}),
        }
        return WalledPlace(
            enclosure,
            site,
            root,
            workspace=Path(site.workspace),
            # In the home, where the sandbox can write it.
            env_file=Path(site.home, ".execd-envs"),
            runtime=Runtime(site.runtime_folder, PurePath(site.runtime), owner),
            cache=Path(site.home, ".cache"),
            variables=variables,
            owner=owner,
            machine=Share(enclosure.plan.limits, enclosure.usage),
            undo=undo,
        )

    def _serve(self, place: WalledPlace, record: SandboxRecord) -> None:
        if self.walls.mode is not Mode.BWRAP:
            return
        self._start(place, partial(answer_doorbell, place.socket()))
        if record.reach == "proxy":
            listening = place.socket()
            listen(listening)
            place.egress = self.egress()
            place.narrow(record.network.rules)
            self._start(place, partial(place.egress.serve, listening))

    def _guard(self, place: WalledPlace, record: SandboxRecord) -> None:
        limits = place.enclosure.plan.limits
        held = record.id == DEFAULT_SANDBOX or place.site.in_memory
        watched = Watched(
            record.id,
            Limits(
                memory=None if MEMORY in self.walls.controllers else limits.memory,
                workspace_size=None if held else limits.workspace_size,
            ),
            place.workspace_folder,
            place.enclosure.members,
            place.count_kill,
            place.set_full,
        )
        place.undo.callback(self.watchdog.watch(watched))

    def _start(self, place: WalledPlace, work: Callable[[], Awaitable[None]]) -> None:
        scope = anyio.CancelScope()
        place.undo.callback(scope.cancel)
        self.tasks.start_soon(_within, scope, work)


async def _within(scope: anyio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
    structlog.contextvars.clear_contextvars()
    with scope:
        try:
            await work()
        except Exception:  # one sandbox's trouble is not to be all of theirs
            log.exception("sandbox_not_served")
