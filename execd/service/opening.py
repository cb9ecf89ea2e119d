"""The opening of a service: folders claimed, kernels known, sandboxes to be had; and its end, which leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.abc

from execd.kernel.kernelspec import Kernelspecs, bundled_kernels
from execd.service.egress import Egress
from execd.service.egress_addresses import Resolver
from execd.service.egress_policy import Policy
from execd.service.executions import Executions
from execd.service.folders import Folders
from execd.service.meters import Meters
from execd.service.place import MachinePlaces
from execd.service.preflight import find_walls
from execd.service.sandbox import Common
from execd.service.sandboxes import Sandboxes
from execd.service.starter import open_zmq
from execd.service.timekeeper import hibernate_idle, keep_time
from execd.service.users import Users
from execd.service.walled import WalledPlaces
from execd.service.walls import Walls
from execd.service.watchdog import Watchdog
from execd.settings import Settings
from execd.warden.keeper import Keeper


@asynccontextmanager
async def open_sandboxes(settings: Settings, meters: Meters) -> AsyncIterator[Sandboxes]:
    """The service's sandboxes while the block runs; every kernel and folder of their making is gone afterwards. What
    happens in them is counted by `meters`.

    Raises CannotServe, or OSError when the data folder cannot be used.
    """
    kernelspecs = Kernelspecs.read(settings.kernels_dir or bundled_kernels(), settings.kernel_python)
    with Folders.claim(settings) as folders:
        zmq = open_zmq()
        keeper = Keeper(folders.warden, settings.warden_patience)
        try:
            walls = await find_walls(settings, folders, keeper)
            async with anyio.create_task_group() as tasks:
                executions = Executions(settings, folders.journals, meters)
                common = Common(settings, kernelspecs, executions, meters, zmq, tasks)
                places = _places(settings, folders, keeper, walls, tasks)
                sandboxes = Sandboxes(common, places)
                meters.show(sandboxes.count_waiting, sandboxes.count_kernels, sandboxes.count_commands)
                tasks.start_soon(keep_time, sandboxes, tasks)
                if settings.context_idle_timeout:
                    tasks.start_soon(hibernate_idle, sandboxes, settings.context_idle_timeout)
                try:
                    yield sandboxes
                finally:
                    with anyio.CancelScope(shield=True):
                        await sandboxes.remove()
                    tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await keeper.end()
            zmq.destroy(linger=0)


def _places(
    settings: Settings, folders: Folders, keeper: Keeper, walls: Walls | None, tasks: anyio.abc.TaskGroup
) -> MachinePlaces | WalledPlaces:
    if walls is None:
        return MachinePlaces(settings, folders, keeper)
    egress = partial(Egress, Policy.parse(settings.egress_allow, settings.port), Resolver())
    watchdog = Watchdog()
    tasks.start_soon(watchdog.run)
    return WalledPlaces(settings, folders, keeper, walls, Users(settings.data_dir), egress, watchdog, tasks)
