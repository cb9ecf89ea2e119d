"""How the minutes of a soak are shared out."""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_WARM_UP = 90.0
_LONGEST_ROUND = 45.0
_SHARE_OF_WARM_UP = 0.2
_SHARE_OF_THE_END = 0.05
_ROUNDS = 12


@dataclass(frozen=True, slots=True)
class Schedule:
    """In seconds: how long caches are filled before the first look, how long clients work between two looks, how long
    the service may take at most to come to rest then, and when the last look is due, counted from the beginning."""

    warm_up: float
    round: float
    settling: float
    until: float

    @classmethod
    def of(cls, minutes: float) -> Schedule:
        """The one of a soak that takes so long, its beginning and its end included."""
        seconds = minutes * 60
        warm_up = min(seconds * _SHARE_OF_WARM_UP, _LONGEST_WARM_UP)
        until = seconds * (1 - _SHARE_OF_THE_END)
        length = min((until - warm_up) / _ROUNDS, _LONGEST_ROUND)
        return cls(warm_up, length, length / 2, until)
