"""The opening of a service: folders claimed, kernels known, sandboxes to be had; and its end, which leaves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from execd.kernel.kernelspec import Kernelspecs, bundled_kernels
from execd.service.executions import Executions
from execd.service.folders import Folders
from execd.service.meters import Meters
from execd.service.place import MachinePlaces
from execd.service.sandbox import Common
from execd.service.sandboxes import Sandboxes
from execd.service.starter import open_zmq
from execd.service.timekeeper import hibernate_idle, keep_time
from execd.settings import Settings
from execd.warden.keeper import Keeper


@asynccontextmanager
async def open_sandboxes(settings: Settings, meters: Meters) -> AsyncIterator[Sandboxes]:
    """The service's sandboxes while the block runs; every kernel and folder of their making is gone afterwards. What
    happens in them is counted by `meters`.

    Raises FolderInUse or OSError when the data folder cannot be used.
    """
    kernelspecs = Kernelspecs.read(settings.kernels_dir or bundled_kernels(), settings.kernel_python)
    with Folders.claim(settings) as folders:
        zmq = open_zmq()
        keeper = Keeper(folders.warden, settings.warden_patience)
        try:
            async with anyio.create_task_group() as tasks:
                executions = Executions(settings, folders.journals, meters)
                common = Common(settings, kernelspecs, executions, meters, zmq, tasks)
                sandboxes = Sandboxes(common, MachinePlaces(settings, folders, keeper))
                meters.show(sandboxes.count_waiting, sandboxes.count_kernels, sandboxes.count_commands)
                tasks.start_soon(keep_time, sandboxes, tasks)
                if settings.context_idle_timeout:
                    tasks.start_soon(hibernate_idle, sandboxes, settings.context_idle_timeout)
                try:
                    yield sandboxes
                finally:
                    with anyio.CancelScope(shield=True):
                        await sandboxes.remove()
                        await keeper.end()
                    tasks.cancel_scope.cancel()
        finally:
            zmq.destroy(linger=0)
