"""What this machine has for sandboxes, looked at without serving and without changing anything: for `execd doctor`."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from execd.errors import CannotServe
from execd.isolation import bubblewrap
from execd.isolation.guarantees import REMEDIES
from execd.isolation.plan import Mode
from execd.isolation.probe import AUTO, Facts, Refused, choose, probe
from execd.service.ceilings import Ceiling, ceilings_here
from execd.service.egress_policy import Policy
from execd.service.packages import describe_python
from execd.service.preflight import check_network, check_places, check_python, sandbox_user
from execd.service.walls import capabilities_of, network_missing
from execd.settings import Settings

LIBRARIES = ("ipykernel", "numpy", "pandas", "matplotlib", "plotly", "altair")
_ASK = """
import sys
from importlib.metadata import PackageNotFoundError, version
for name in sys.argv[1:]:
    try: print(name, version(name))
    except PackageNotFoundError: pass
"""


@dataclass(frozen=True, slots=True)
class ModeFound:
    """A mode of isolation: why it does not work here and what to do, or what it amounts to. `networks` says why not,
    for those that there are not."""

    mode: str
    works: bool
    obstacle: str | None
    remedy: str | None
    guarantees: tuple[str, ...]
    not_covered: tuple[str, ...]
    limits: dict[str, str]
    networks: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Examination:
    """All of it. `auto` is the mode that EXECD_ISOLATION=auto takes, `chosen` the one that the settings ask for; None
    for none. `problems` keep the service from serving as the settings want it; `ceilings` that are low let it serve
    less than they allow."""

    auto: str | None
    isolation: str
    chosen: str | None
    modes: list[ModeFound]
    bubblewrap: str | None
    bubblewrap_version: str | None
    landlock_version: int
    own_users: bool
    control_groups: str | None
    controllers: list[str]
    kernel_python: str
    kernel_python_version: str | None
    libraries: dict[str, str]
    data_dir: str
    ceilings: list[Ceiling]
    problems: list[str]

    @property
    def works(self) -> bool:
        """Whether there are walls here, and nothing keeps the service from serving."""
        return self.auto is not None and not self.problems


def examine(settings: Settings) -> Examination:
    """Look at everything. To be called where there is one thread."""
    facts = probe(sandbox_user(settings), enable=False)
    auto, chosen = _choice(AUTO, facts), _choice(settings.isolation, facts)
    python = settings.kernel_python
    return Examination(
        auto=auto,
        isolation=settings.isolation,
        chosen=chosen,
        modes=[_mode(mode, facts, settings) for mode in Mode],
        bubblewrap=facts.bwrap,
        bubblewrap_version=None if facts.bwrap is None else bubblewrap.version(facts.bwrap),
        landlock_version=facts.landlock_abi,
        own_users=facts.own_users,
        control_groups=None if facts.cgroup is None else f"v{facts.cgroup}",
        controllers=sorted(facts.controllers),
        kernel_python=str(python),
        kernel_python_version=_version(python),
        libraries=_libraries(python),
        data_dir=str(settings.data_dir.absolute()),
        ceilings=ceilings_here(settings),
        problems=_problems(settings, facts, chosen),
    )


def _choice(wanted: str, facts: Facts) -> Mode | None:
    try:
        return choose(wanted, facts)
    except Refused:
        return None


def _mode(mode: Mode, facts: Facts, settings: Settings) -> ModeFound:
    found = capabilities_of(mode, facts, settings)
    obstacle = facts.obstacles.get(mode)
    return ModeFound(
        mode=mode,
        works=obstacle is None,
        obstacle=None if obstacle is None else " ".join(obstacle.split()),
        remedy=None if obstacle is None else REMEDIES[mode],
        guarantees=found.guarantees,
        not_covered=found.not_covered,
        limits=dict(found.limits),
        networks={network: network_missing(network, mode) for network in ("none", "proxy", "full")},
    )


def _problems(settings: Settings, facts: Facts, chosen: Mode | None) -> list[str]:
    def walls() -> None:
        try:
            choose(settings.isolation, facts)
        except Refused as refused:
            raise CannotServe(str(refused)) from None

    def python() -> None:
        found = describe_python(settings.kernel_python)
        check_python(settings, found)
        if chosen in (Mode.BWRAP, Mode.LANDLOCK):
            check_places(settings, found, chosen, settings.data_dir)

    def network() -> None:
        Policy.parse(settings.egress_allow, settings.port)
        if chosen is not None:
            check_network(settings, chosen)

    checks = (walls, python, network, lambda: check_data_folder(settings.data_dir.absolute()))
    return [problem for check in checks if (problem := _complaint(check))]


def _complaint(check: Callable[[], None]) -> str | None:
    try:
        check()
    except CannotServe as refusal:
        return str(refusal)
    return None


def check_data_folder(folder: Path) -> None:
    """Raise CannotServe where the data folder cannot be used, or made. One that a service uses is one that can be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise CannotServe(f"cannot use the data folder: {there} cannot be written; EXECD_DATA_DIR names another")


def _version(python: Path) -> str | None:
    try:
        return describe_python(python).version
    except CannotServe:
        return None


def _libraries(python: Path) -> dict[str, str]:
    command = [str(python), "-I", "-c", _ASK, *LIBRARIES]
    try:
        told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split() for line in told.stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def in_use(folder: Path) -> bool:
    """Whether a service uses this data folder."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
