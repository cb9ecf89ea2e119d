"""The control group that the service runs in: what it limits, what has been used.

Version 2 and version 1 (https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/). A limit holds for all
below it, so the least one on the way to the root counts. In a container the group's path is often that of the machine
outside and not to be found; the mount point is then the group itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a control group allows: CPUs (as a fraction of time), bytes, and processes and threads together; None where
    it sets no bound."""

    cpus: float | None = None
    memory: int | None = None
    tasks: int | None = None


class ControlGroup:
    """The groups of one process, read anew with every question. Both paths are given for tests."""

    def __init__(self, membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> None:
        self._mount = mount
        self._groups = _groups(membership)
        self._unified = mount / "cgroup.controllers"

    def limits(self) -> Limits:
        """What bounds the service."""
        if self._unified.exists():
            return Limits(self._least("", _cpus_v2), self._least("", _memory_v2), self._least("", _tasks))
        return Limits(self._least("cpu", _cpus_v1), self._least("memory", _memory_v1), self._least("pids", _tasks))

    def memory_used(self) -> int | None:
        """Bytes in use, without the page cache that the kernel could drop at once; None when it does not say."""
        if self._unified.exists():
            return self._working_set("", "memory.current", "inactive_file")
        return self._working_set("memory", "memory.usage_in_bytes", "total_inactive_file")

    def cpu_seconds(self) -> float | None:
        """CPU time used so far; None when it does not say."""
        if self._unified.exists():
            microseconds = _table(self._group("") / "cpu.stat").get("usage_usec")
            return None if microseconds is None else microseconds / 1e6
        nanoseconds = _number(self._group("cpuacct") / "cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def _working_set(self, controller: str, usage: str, droppable: str) -> int | None:
        group = self._group(controller)
        used = _number(group / usage)
        return None if used is None else max(used - _table(group / "memory.stat").get(droppable, 0), 0)

    def _group(self, controller: str) -> Path:
        mount = self._mount / controller
        group = mount / self._groups.get(controller, "")
        return group if group.is_dir() else mount

    def _least(self, controller: str, read: Callable[[Path], Number | None]) -> Number | None:
        found = [limit for folder in self._upwards(controller) if (limit := read(folder)) is not None]
        return min(found, default=None)

    def _upwards(self, controller: str) -> Iterator[Path]:
        mount = self._mount / controller
        folder = self._group(controller)
        while folder != mount:
            yield folder
            folder = folder.parent
        yield mount


def _groups(membership: Path) -> dict[str, str]:
    # Lines of "number:controller,controller:/path"; version 2 has no controllers in its line (cgroups(7)).
    groups: dict[str, str] = {}
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return groups
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            groups[controller] = path.lstrip("/")
    return groups


def _cpus_v2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _cpus_v1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _memory_v2(folder: Path) -> int | None:
    return _number(folder / "memory.max")


def _memory_v1(folder: Path) -> int | None:
    return _number(folder / "memory.limit_in_bytes")


def _tasks(folder: Path) -> int | None:
    return _number(folder / "pids.max")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.lstrip("-").isdigit() else None


def _table(path: Path) -> dict[str, int]:
    rows = (line.partition(" ") for line in _text(path).splitlines())
    return {name: int(value) for name, _, value in rows if value.isdigit()}
