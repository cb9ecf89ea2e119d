"""Which end of a process was one for want of memory: told by a counter of the machine, which does not say whom it
killed."""

from __future__ import annotations

import time
from collections.abc import Callable

# A process that the machine has killed may take this long until it has ended: it gives its memory back first.
RECENT_SECONDS = 5.0


class Kills:
    """Watches the counter of one sandbox. A kill that was noticed lately explains the next end if that is
    violent; an older one, and one before an end that is not, was somebody else's, whose parent lives on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._explained = 0
        self._seen = 0
        self._seen_at = clock()

    def notice(self, count: int) -> None:
        """The counter stands at `count` now."""
        now = self._clock()
        if count != self._seen:
            self._seen, self._seen_at = count, now
        elif now - self._seen_at > RECENT_SECONDS:
            self._explained = count

    def explain(self, count: int, *, violent: bool) -> bool:
        """A process has ended, violently or not: whether that was one of these kills."""
        self.notice(count)
        new, self._explained = count > self._explained, count
        return violent and new
