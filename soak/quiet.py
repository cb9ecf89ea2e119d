"""A quiet point: nobody asks for anything, and what the service still ends is given a bounded time for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

Counts = Mapping[str, float]

_PAUSE = 0.25
_ALIKE = 4


def settled(look: Callable[[], Counts], allowed: Counts, patience: float) -> Counts:
    """The counts once they stand still, none above what is `allowed`; after `patience` seconds as they are then."""
    deadline = time.monotonic() + patience
    seen, alike = look(), 1
    while time.monotonic() < deadline and not (alike >= _ALIKE and _fit(seen, allowed)):
        time.sleep(_PAUSE)
        last, seen = seen, look()
        alike = alike + 1 if seen == last else 1
    return seen


def _fit(seen: Counts, allowed: Counts) -> bool:
    return all(value <= allowed.get(name, value) for name, value in seen.items())
