"""The share of the machine that one sandbox has: what it may use, and what all of its processes use together."""

from __future__ import annotations

import time
from collections.abc import Callable

from execd.isolation.plan import Limits
from execd.isolation.usage import Usage
from execd.service.metrics import Machine, Sample


class Share(Machine):
    """A machine, as far as metrics go. What the machine does not count for the sandbox alone is the machine's."""

    def __init__(self, limits: Limits, ask: Callable[[], Usage]) -> None:
        """`ask` may raise OSError, where the sandbox has ended."""
        super().__init__()
        self._limits = limits
        self._ask = ask

    def cpus(self) -> float:
        """How many CPUs it may use; a fraction where its limit is one."""
        available = super().cpus()
        return available if self._limits.cpu is None else min(self._limits.cpu, available)

    def sample(self) -> Sample:
        """CPU time used so far."""
        used = self._usage().cpu_seconds
        return super().sample() if used is None else Sample(time.monotonic(), used)

    def memory(self) -> tuple[int, int]:
        """Bytes that it may use and bytes that it does."""
        total, used = super().memory()
        own = self._usage().memory
        if own is None:
            return total, used
        most = total if self._limits.memory is None else min(self._limits.memory, total)
        return most, min(own, most)

    def traffic(self) -> tuple[int, int]:
        """Bytes that came in and went out by its own network."""
        usage = self._usage()
        return usage.received, usage.sent

    def _usage(self) -> Usage:
        try:
            return self._ask()
        except OSError:
            return Usage()
