"""What is gathered from a run beyond its output, at its end: the seam between runs and whoever keeps that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from execd.events import Event
from execd.service.execution import Execution


class Harvest(Protocol):
    """Of one run."""

    def see(self, event: Event, seq: int) -> None:
        """An event of the run, right after it was journaled with this seq."""

    async def gather(self) -> Sequence[Event]:
        """The code has ended: the events to journal before the terminal one. Takes a bounded time, raises nothing, and
        is not to be given up half-way."""

    def close(self) -> None:
        """There will be no more. Safe to call twice, and after `gather`."""


class Harvests(Protocol):
    """Of one sandbox."""

    async def begin(self, execution: Execution) -> Harvest:
        """A run is about to begin. Raises nothing."""


class NoHarvests:
    """Where nothing is gathered: both protocols at once."""

    async def begin(self, execution: Execution) -> Harvest:  # noqa: ARG002
        """Nothing begins."""
        return self

    def see(self, event: Event, seq: int) -> None:
        """Nothing is noted."""

    async def gather(self) -> Sequence[Event]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Nothing is open."""


NO_HARVESTS = NoHarvests()
