"""What is found out before anything is served, so that what cannot work is said then, in one line."""

from __future__ import annotations

import os
from pathlib import Path

from anyio import to_thread

from execd.errors import CannotServe
from execd.isolation.guarantees import REMEDIES
from execd.isolation.plan import Mode
from execd.service.egress_policy import Policy
from execd.service.folders import Folders
from execd.service.packages import KernelPython, describe_python
from execd.service.reach import check_reachable
from execd.service.sites import sight
from execd.service.users import Users
from execd.service.walls import Walls, network_missing
from execd.settings import Settings
from execd.warden.client import Warden
from execd.warden.keeper import Keeper

OLDEST_PYTHON = (3, 11)


async def find_walls(settings: Settings, folders: Folders, keeper: Keeper) -> Walls | None:
    """What sandboxes are to have; None where no walls are asked for. Raises CannotServe where sandboxes cannot be made
    as the settings want them."""
    Policy.parse(settings.egress_allow, settings.port)
    python = await to_thread.run_sync(describe_python, settings.kernel_python)
    check_python(settings, python)
    warden = await _warden(keeper)
    if settings.isolation == "process":
        check_network(settings, Mode.PROCESS)
        return None
    walls = await Walls.find(settings, python, warden, sandbox_user(settings))
    check_network(settings, walls.mode)
    if walls.mode is Mode.LANDLOCK and walls.own_users:
        folders.let_others_pass()
    check_places(settings, python, walls.mode, folders.sandboxes / "sandbox")
    return walls


def sandbox_user(settings: Settings) -> int | None:
    """The user of the machine that walls are tried for: None, the service's own, unless that is root."""
    return Users(settings.data_dir).default if os.geteuid() == 0 else None


def check_python(settings: Settings, python: KernelPython) -> None:
    """Raise CannotServe for a Python that our kernels do not run in."""
    said = f"EXECD_KERNEL_PYTHON: {settings.kernel_python}"
    if tuple(map(int, python.version.split(".")[:2])) < OLDEST_PYTHON:
        raise CannotServe(f"{said} is Python {python.version}; expected 3.11 or later")
    if settings.kernels_dir is None and not python.has_ipykernel:
        install = f"{settings.kernel_python} -m pip install ipykernel"
        raise CannotServe(f"{said} has no ipykernel; to install it: {install}")


def check_network(settings: Settings, mode: Mode) -> None:
    """Raise CannotServe where EXECD_NETWORK is not to be had in this mode."""
    missing = network_missing(settings.network, mode)
    if missing is not None:
        remedy = f". {REMEDIES[Mode.BWRAP]}" if mode is Mode.LANDLOCK else ""
        raise CannotServe(f"EXECD_NETWORK={settings.network} is not to be had: {missing}{remedy}")


def check_places(settings: Settings, python: KernelPython, mode: Mode, sandbox: Path) -> None:
    """Raise CannotServe where sandboxes would see too much of the machine, or not get to what they need. `sandbox` is
    where one's folder would be."""
    seen = sight(settings, python)
    user = sandbox_user(settings)
    if mode is Mode.LANDLOCK and user is not None:
        needed = {
            "EXECD_DATA_DIR": sandbox,
            # One in the data folder is reached where that is.
            **({"EXECD_WORKSPACE": settings.workspace} if settings.workspace else {}),
            "EXECD_KERNEL_PYTHON": settings.kernel_python,
            **{f"EXECD_KERNEL_PYTHON ({path})": Path(path, "bin") for path in seen},
        }
        check_reachable(user, needed)


async def _warden(keeper: Keeper) -> Warden:
    try:
        return await keeper.warden()
    except OSError as error:
        raise CannotServe(f"sandboxes cannot be made: {error.strerror or error}") from error
