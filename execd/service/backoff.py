"""When something that has failed is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SECONDS = 3600.0

_DOUBLINGS = 60
_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that begin with `first`, double up to `longest` and end `give_up` after the beginning; all in seconds."""

    first: float
    give_up: float
    longest: float = LONGEST_SECONDS

    def next_at(self, began_at: int, failed: int, now: int, chance: float, asked: float = 0) -> int | None:
        """When to try again after so many failures, None for never; times are Unix ms. The last time is the end itself.
        `chance`, from 0 to 1, makes a pause up to a quarter shorter or longer; `asked` is the least that the other side
        wants it to be, in seconds."""
        last = began_at + round(self.give_up * 1000)
        if now >= last:
            return None
        pause = min(self.first * 2.0 ** min(failed - 1, _DOUBLINGS), self.longest)
        pause = max(pause * (1 - _JITTER + 2 * _JITTER * chance), min(asked, self.longest))
        return min(now + max(round(pause * 1000), 1), last)
