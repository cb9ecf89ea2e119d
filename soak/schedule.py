"""How the minutes of a soak are shared out."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_WARM_UP = 150.0
_SHORTEST_ROUND, _LONGEST_ROUND = 2.0, 45.0
_SHARE_OF_WARM_UP = 0.25
_SHARE_OF_THE_END = 0.05
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Schedule:
    """In seconds: how long caches are filled before the first look, how long clients work between two looks, and
    when the last look is due, counted from the beginning."""

    warm_up: float
    round: float
    until: float

    @classmethod
    def of(cls, minutes: float) -> Schedule:
        """The one of a soak that takes so long, its beginning and its end included."""
        seconds = minutes * 60
        warm_up = min(seconds * _SHARE_OF_WARM_UP, _LONGEST_WARM_UP)
        until = seconds * (1 - _SHARE_OF_THE_END)
        length = min(max((until - warm_up) / _ROUNDS, _SHORTEST_ROUND), _LONGEST_ROUND)
        return cls(warm_up, length, until)

    def next_round(self, now: float) -> float:
        """How long the next round is, which begins at this time."""
        return min(self.round, max(self.until - now, _SHORTEST_ROUND))
