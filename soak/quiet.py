"""A quiet point: nobody asks for anything, and what the service still ends is given a bounded time for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Counts = Mapping[str, float]

_PAUSE = 0.25


@dataclass(frozen=True, slots=True)
class Rest:
    """In seconds: for how long counts must be alike, and how long that may take. A kernel that waits for the next
    context is started a second after the last was taken, and is to be seen at each look."""

    still: float = 3.0
    patience: float = 20.0


def settled(look: Callable[[], Counts], allowed: Counts, rest: Rest) -> Counts:
    """The counts once they stand still, none above what is `allowed`; when patience is over as they are then."""
    began = time.monotonic()
    since, seen = began, look()
    while (now := time.monotonic()) - began < rest.patience and not (now - since >= rest.still and _fit(seen, allowed)):
        time.sleep(_PAUSE)
        last, seen = seen, look()
        since = since if seen == last else time.monotonic()
    return seen


def _fit(seen: Counts, allowed: Counts) -> bool:
    return all(value <= allowed.get(name, value) for name, value in seen.items())
