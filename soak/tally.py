"""What clients have done: how often, how long it took, and what went wrong."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field

_KEPT = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that went wrong: in which activity (or elsewhere), of which client, when (seconds), and what it was."""

    where: str
    client: int
    at: float
    said: str


@dataclass
class Tally:
    """Filled by all clients at once. `failed` counts all failures of an activity, `failures` keeps the first ones."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    failures: list[Failure] = field(default_factory=list)
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def done(self, activity: str, seconds: float) -> None:
        """An activity has ended as it should."""
        with self._lock:
            self.seconds[activity].append(seconds)

    def wrong(self, failure: Failure) -> None:
        """It has not."""
        with self._lock:
            if self._closed:
                return
            self.failed[failure.where] += 1
            if len(self.failures) < _KEPT:
                self.failures.append(failure)

    def close(self) -> None:
        """What goes wrong from now on does so since the service ends."""
        with self._lock:
            self._closed = True

    @property
    def operations(self) -> int:
        """How many activities have ended, well or not."""
        with self._lock:
            return sum(map(len, self.seconds.values())) + sum(self.failed.values())

    @property
    def errors(self) -> int:
        """How many of them failed."""
        with self._lock:
            return sum(self.failed.values())
