"""The opening of a service: folders claimed, kernels known, sandboxes to be had; and its end, which leaves nothing but
what the next one is to find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import PurePath

import anyio
import anyio.abc
import structlog

from execd.kernel.kernelspec import Kernelspecs
from execd.service.adoption import Adoption
from execd.service.artifacts import Artifacts
from execd.service.egress import Egress
from execd.service.egress_addresses import Resolver
from execd.service.egress_policy import Policy
from execd.service.executions import Executions
from execd.service.folders import Folders
from execd.service.keyring import Keyring
from execd.service.links import Links, lasting_key
from execd.service.meters import Meters
from execd.service.place import MachinePlaces
from execd.service.preflight import find_walls
from execd.service.recorder import recording
from execd.service.registry import registering
from execd.service.rendering import Renderings
from execd.service.sandbox import Common
from execd.service.sandboxes import Sandboxes
from execd.service.starter import open_zmq
from execd.service.timekeeper import hibernate_idle, keep_time
from execd.service.users import Users
from execd.service.walled import WalledPlaces
from execd.service.walls import Walls
from execd.service.watchdog import Watchdog
from execd.settings import Settings
from execd.store.blobs import Blobs
from execd.store.engine import database_url
from execd.store.store import Store
from execd.warden.keeper import Keeper

log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_sandboxes(
    settings: Settings, meters: Meters, renderings: Renderings | None = None, ordinary_files: int | None = None
) -> AsyncIterator[Sandboxes]:
    """The service's sandboxes while the block runs, those that an earlier service has left among them. Afterwards every
    kernel and folder of their making is gone, unless they are `keeping`: then the next service finds them. What happens
    in them is counted by `meters`, and shown to webhooks by `renderings`. Without walls, what runs in them has
    `ordinary_files` as its soft limit of open files, where the service has raised its own.

    Raises CannotServe, or OSError when the data folder cannot be used.
    """
    kernelspecs = Kernelspecs.of(settings)
    url = database_url(settings.database_url, settings.data_dir)
    with Folders.claim(settings) as folders, Store.open(url, folders.node) as store:
        zmq = open_zmq()
        keeper = Keeper(folders.warden, settings.warden_patience)
        keep = True
        try:
            walls = await find_walls(settings, folders, keeper)
            async with anyio.create_task_group() as tasks, recording(store) as recorder, registering(store) as registry:
                executions = Executions(settings, recorder, meters, renderings or Renderings())
                artifacts = Artifacts(store, Blobs(folders.data / "artifacts"), settings)
                links = Links(lasting_key(folders.data / "links.key"))
                common = Common(settings, kernelspecs, executions, artifacts, links, meters, zmq, registry, tasks)
                places = _places(settings, folders, keeper, walls, tasks, ordinary_files)
                sandboxes = Sandboxes(common, Keyring(store, settings), places)
                await Adoption(sandboxes, executions, registry, folders).carry_out(await keeper.warden())
                tasks.start_soon(executions.retain)
                tasks.start_soon(artifacts.retain)
                tasks.start_soon(_prepare, keeper, kernelspecs)
                meters.show(sandboxes.count_waiting, sandboxes.count_kernels, sandboxes.count_commands)
                tasks.start_soon(keep_time, sandboxes, tasks)
                if settings.context_idle_timeout:
                    tasks.start_soon(hibernate_idle, sandboxes, settings.context_idle_timeout)
                try:
                    yield sandboxes
                finally:
                    keep = sandboxes.keeping
                    with anyio.CancelScope(shield=True):
                        await (sandboxes.leave() if keep else sandboxes.remove())
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await keeper.part(keep=keep)
            zmq.destroy(linger=0)


async def _prepare(keeper: Keeper, kernelspecs: Kernelspecs) -> None:
    """Have what kernels are forked from started now: it takes a second, and the first kernel would wait for it."""
    for language in kernelspecs.languages:
        spec = kernelspecs.get(language)
        if spec.forks:
            try:
                await (await keeper.warden()).prepare(spec.command(PurePath("/")))
            except OSError as error:
                log.warning("zygote_not_started", language=language, why=str(error))


def _places(
    settings: Settings,
    folders: Folders,
    keeper: Keeper,
    walls: Walls | None,
    tasks: anyio.abc.TaskGroup,
    ordinary_files: int | None,
) -> MachinePlaces | WalledPlaces:
    if walls is None:
        return MachinePlaces(settings, folders, keeper, ordinary_files)
    egress = partial(Egress, Policy.parse(settings.egress_allow, settings.port), Resolver())
    watchdog = Watchdog()
    tasks.start_soon(watchdog.run)
    return WalledPlaces(settings, folders, keeper, walls, Users(settings.data_dir), egress, watchdog, tasks)
