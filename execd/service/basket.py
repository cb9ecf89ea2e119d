"""What a run's artifacts may be at most: how many, how large, how long gathering them may take. Pure but for a clock.

What does not fit is left out, one thing after the other, and counted: in the end there is one notice a reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from execd.events import ArtifactsLeftOut
from execd.service.media import Media
from execd.store.blobs import Blob


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """Of one run: the number of artifacts, the bytes of each and of all, and seconds for gathering them. With a count
    of 0 there are none, and no notices."""

    count: int
    size: int
    run_size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """Content that is to become an artifact. `path` is where a file was, None for an output."""

    name: str
    media: Media
    blob: Blob
    path: str | None = None


class Why(StrEnum):
    """Why something was left out; with the figure in question these are the words of the notice."""

    COUNT = "a run may have {count}"
    SIZE = "one may have {size} bytes"
    RUN_SIZE = "those of a run may have {run_size} bytes together"
    TIME = "gathering them may take {seconds:g} s"
    STORAGE = "there is no room to keep them"
    UNSEEN = "too much changed in the workspace to look through within the time for it"
    FAILED = "execd failed while it gathered them; see its log"


class OutOfTime(Exception):
    """The time for gathering is over."""


class Basket:
    """What is gathered of one run."""

    def __init__(self, limits: ArtifactLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.gathered: list[Gathered] = []
        self._size = 0
        self._left: dict[Why, tuple[int, int]] = {}
        self._clock = clock
        self._ends = clock() + limits.seconds

    def hurry(self) -> None:
        """Raise OutOfTime once the time is over."""
        if self._clock() >= self._ends:
            raise OutOfTime

    def refusal(self, size: int) -> Why | None:
        """Why there is no room for one more of this size, None if there is."""
        if len(self.gathered) >= self.limits.count:
            return Why.COUNT
        if size > self.limits.size:
            return Why.SIZE
        if self._size + size > self.limits.run_size:
            return Why.RUN_SIZE
        return Why.TIME if self._clock() >= self._ends else None

    @property
    def most(self) -> int:
        """The bytes that the next one may have."""
        return min(self.limits.size, self.limits.run_size - self._size)

    def add(self, gathered: Gathered) -> None:
        """One more."""
        self.gathered.append(gathered)
        self._size += gathered.blob.size

    def leave_out(self, why: Why, count: int = 1, size: int = 0) -> None:
        """Something is no artifact."""
        counted, bytes_ = self._left.get(why, (0, 0))
        self._left[why] = counted + count, bytes_ + size

    def notices(self) -> list[ArtifactsLeftOut]:
        """What was left out, one event a reason."""
        limits = self.limits
        figures = {
            "count": limits.count,
            "size": limits.size,
            "run_size": limits.run_size,
            "seconds": limits.seconds,
        }
        return [
            ArtifactsLeftOut(count, size, self._size, why.value.format(**figures))
            for why, (count, size) in sorted(self._left.items())
        ]
