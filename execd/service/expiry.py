"""When the time of a sandbox is over: by age, or because nobody uses it. Decisions only; times are Unix ms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from execd.service.record import EndReason

# The machine's clock may be set meanwhile: how long it may be trusted, in seconds.
LONGEST_NAP = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides over one sandbox. `active_at` is when it was used last; while it is `busy`, it is used now. One
    that is paused is not used, and not idle either."""

    expires_at: int | None
    idle_ms: int | None
    active_at: int
    busy: bool = False
    paused: bool = False


def due(standing: Standing, now: int) -> EndReason | None:
    """Why its time is over, None if it is not."""
    if standing.expires_at is not None and now >= standing.expires_at:
        return EndReason.TOO_OLD
    idle_ends = _idle_ends(standing, now)
    return EndReason.IDLE if idle_ends is not None and now >= idle_ends else None


def next_look(standings: Iterable[Standing], now: int) -> float:
    """For how many seconds nothing can become due unless something changes; at most LONGEST_NAP."""
    ends = [
        end for standing in standings for end in (standing.expires_at, _idle_ends(standing, now)) if end is not None
    ]
    return min(max(min(ends) - now, 0) / 1000, LONGEST_NAP) if ends else LONGEST_NAP


def expires_at(timeout: float | None, now: int) -> int | None:
    """The end of a time that begins now."""
    return None if timeout is None else now + round(timeout * 1000)


def bounded(asked: float | None, default: float, most: float) -> float | None:
    """How long a sandbox gets, in seconds, None for ever: asked for None it is the default, and 0 is for ever, for
    `default` and `most` too."""
    wanted = default if asked is None else asked
    if most and (not wanted or wanted > most):
        return most
    return wanted or None


def _idle_ends(standing: Standing, now: int) -> int | None:
    if standing.idle_ms is None or standing.paused:
        return None
    return (now if standing.busy else standing.active_at) + standing.idle_ms
