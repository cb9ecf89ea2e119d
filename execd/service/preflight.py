"""What is found out before anything is served, so that what cannot work is said in one line and not in the middle."""

from __future__ import annotations

import os
from pathlib import Path

from anyio import to_thread

from execd.errors import CannotServe
from execd.isolation.plan import Mode
from execd.service.egress_policy import Policy
from execd.service.packages import KernelPython, describe_python
from execd.service.users import Users
from execd.service.walls import Walls, network_missing
from execd.settings import Settings
from execd.warden.client import Warden

OLDEST_PYTHON = (3, 11)


async def check_sandboxes(settings: Settings, folder: Path) -> None:
    """Raise CannotServe where sandboxes cannot be made as the settings want them. The warden of this folder, which has
    tried that, lives on for the service to adopt."""
    Policy.parse(settings.egress_allow, settings.port)
    check_python(settings, await to_thread.run_sync(describe_python, settings.kernel_python))
    try:
        warden = await Warden.reach(folder, settings.warden_patience)
    except OSError as error:
        raise CannotServe(f"sandboxes cannot be made: {error.strerror or error}") from error
    try:
        check_network(settings, await _mode(settings, warden))
    except BaseException:
        # What an earlier service has left in it is not ours to end: it is this one's, once it serves.
        if not warden.enclosures:
            await warden.end()
        raise
    finally:
        warden.hang_up()


def sandbox_user(settings: Settings) -> int | None:
    """The user of the machine that walls are tried for: None, the service's own, unless that is root."""
    return Users(settings.data_dir).default if os.geteuid() == 0 else None


def check_python(settings: Settings, python: KernelPython) -> None:
    """Raise CannotServe for a Python that our kernels do not run in."""
    said = f"EXECD_KERNEL_PYTHON: {settings.kernel_python}"
    if tuple(map(int, python.version.split(".")[:2])) < OLDEST_PYTHON:
        raise CannotServe(f"{said} is Python {python.version}; expected 3.11 or later")
    if settings.kernels_dir is None and not python.has_ipykernel:
        raise CannotServe(
            f"{said} has no ipykernel; install it there: {settings.kernel_python} -m pip install ipykernel"
        )


def check_network(settings: Settings, mode: Mode) -> None:
    """Raise CannotServe where EXECD_NETWORK is not to be had in this mode."""
    missing = network_missing(settings.network, mode)
    if missing is not None:
        raise CannotServe(f"EXECD_NETWORK={settings.network} is not to be had: {missing}")


async def _mode(settings: Settings, warden: Warden) -> Mode:
    if settings.isolation == "process":
        return Mode.PROCESS
    return (await Walls.find(settings, warden, sandbox_user(settings))).mode
