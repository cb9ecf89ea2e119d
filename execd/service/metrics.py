"""How busy the machine is, or the part of it that the service may use."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import psutil

from execd.service.cgroup import ControlGroup
from execd.service.journal import now_ms

_MIB = 1024 * 1024

# CPU use is the difference of two samples. They are this far apart at least, in seconds, and a sample older than the
# second figure says nothing about now.
_CLOSEST = 0.2
_OLDEST = 3.0

WATCH_INTERVAL = 2.0


@dataclass(frozen=True, slots=True)
class Reading:
    """CPUs that may be used, how much of them is (0 to 100), memory in MiB, and when this was so (Unix ms)."""

    cpu_count: float
    cpu_used_pct: float
    mem_total_mib: float
    mem_used_mib: float
    timestamp: int


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds used so far, by everything that counts, at a time of the monotonic clock."""

    at: float
    used: float


def cpu_percent(before: Sample, after: Sample, cpus: float) -> float:
    """How much of `cpus` was used between two samples, from 0 to 100."""
    capacity = (after.at - before.at) * cpus
    if capacity <= 0:
        return 0.0
    return round(min(max((after.used - before.used) / capacity * 100, 0.0), 100.0), 2)


class Machine:
    """What the service may use and what is used: the machine, or its control group where that sets limits."""

    def __init__(self, group: ControlGroup | None = None) -> None:
        self._group = group or ControlGroup()

    def cpus(self) -> float:
        """How many CPUs the service may use; a fraction where a quota says so."""
        available = float(len(os.sched_getaffinity(0)))
        limit = self._group.limits().cpus
        return available if limit is None else round(min(limit, available), 2)

    def sample(self) -> Sample:
        """CPU time used so far: the group's where its CPU time is limited, otherwise the machine's."""
        used = self._group.cpu_seconds() if self._group.limits().cpus is not None else None
        return Sample(time.monotonic(), self._machine_seconds() if used is None else used)

    def memory(self) -> tuple[int, int]:
        """Bytes in all and bytes used: the group's where it limits memory, otherwise the machine's."""
        machine = psutil.virtual_memory()
        limit = self._group.limits().memory
        used = self._group.memory_used()
        if limit is None or used is None or limit >= machine.total:
            return machine.total, machine.total - machine.available
        return limit, min(used, limit)

    def traffic(self) -> tuple[int, int]:
        """Bytes that came in and went out by the network."""
        network = psutil.net_io_counters()
        return network.bytes_recv, network.bytes_sent

    def _machine_seconds(self) -> float:
        times = psutil.cpu_times()
        return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


class Metrics:
    """Readings of the machine. It is looked at when somebody asks, and not in between; nothing here blocks."""

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine or Machine()
        self._last: Sample | None = None
        self._percent = 0.0
        self._sampling = anyio.Lock()
        self._closing = anyio.Event()

    async def read(self) -> Reading:
        """How things are. Takes up to 0.2 s where nobody has asked in the last seconds."""
        async with self._sampling:
            await self._sample()
        total, used = self._machine.memory()
        return Reading(
            cpu_count=self._machine.cpus(),
            cpu_used_pct=self._percent,
            mem_total_mib=round(total / _MIB, 2),
            mem_used_mib=round(used / _MIB, 2),
            timestamp=now_ms(),
        )

    async def follow(self) -> AsyncIterator[Reading]:
        """A reading now and every two seconds, until `close`."""
        while not self._closing.is_set():
            yield await self.read()
            with anyio.move_on_after(WATCH_INTERVAL):
                await self._closing.wait()

    def close(self) -> None:
        """End all that follow."""
        self._closing.set()

    async def _sample(self) -> None:
        now = self._machine.sample()
        if self._last is None or now.at - self._last.at > _OLDEST:
            self._last = now
            await anyio.sleep(_CLOSEST)
            now = self._machine.sample()
        if now.at - self._last.at >= _CLOSEST:
            self._percent = cpu_percent(self._last, now, self._machine.cpus())
            self._last = now
