"""What a sandbox is to be: its walls, what is to be seen inside, what it may use. Pure, and JSON on the way to the
warden."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from execd.isolation.uplink import UplinkPlan


class Mode(StrEnum):
    """The kinds of walls, the strongest first."""

    BWRAP = "bwrap"
    LANDLOCK = "landlock"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a sandbox may use at most: bytes, CPU cores, counts. None: no limit but the machine's."""

    memory: int | None = None
    cpu: float | None = None
    processes: int | None = None
    open_files: int | None = None
    file_size: int | None = None
    tmp_size: int | None = None
    workspace_size: int | None = None


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the machine, to be seen at `target` in the sandbox."""

    source: str
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A sandbox to be made. `uid` is the user of the machine that its processes are, never 0 behind walls; None is
    the service's own. `workspace` and `home` are paths inside. Without an `uplink` it has no network but its own."""

    id: str
    mode: Mode
    uid: int | None
    workspace: str
    home: str
    binds: tuple[Bind, ...] = ()
    limits: Limits = Limits()
    hostname: str = "sandbox"
    uplink: UplinkPlan | None = None
