"""How much each resource may grow between the first quiet point and the last: the table of README.md."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1e6


@dataclass(frozen=True, slots=True)
class Count:
    """A number of things. It may be `slack` above the first one in the end, and never grow at every look."""

    slack: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. They may be `growth` above the first ones in the end, and grow by so many with each run."""

    growth: float
    a_run: float


Bound = Count | Memory | None
"""None: shown, and not judged."""

BOUNDS: dict[str, Bound] = {
    "service memory": Memory(40 * MB, 800),
    "service pss": None,
    "warden memory": Memory(4 * MB, 200),
    "zygote memory": Memory(8 * MB, 400),
    "kernel memory": Memory(40 * MB, 1500),
    "service descriptors": Count(12),
    "service sockets": Count(2),
    "service pipes": Count(2),
    "service eventpolls": Count(1),
    "service pidfds": Count(0),
    "service inotifies": Count(0),
    "service store files": Count(10),
    "service other descriptors": Count(2),
    "service threads": Count(8),
    "warden descriptors": Count(2),
    "warden threads": Count(0),
    "processes": Count(0),
    "zombies": Count(0),
    "namespaces": Count(0),
    "mounts": Count(0),
    "control groups": Count(0),
    "sandbox folders": Count(0),
    "runtime files": Count(0),
    "database bytes": None,
    "executions kept": None,
    "artifact bytes": None,
}
