"""The calls that are under way, and whether somebody has called one off.

A call may be cut short for many reasons: its client has hung up, its session is over, the service ends. Only one of
them means that what it has started is to stop, so that one is noted before the call is cut short.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Key = tuple[str, str, str]
"""A tenant, a session of its own, a request of that."""


@dataclass(slots=True)
class Underway:
    """A call. `off`: to be cut short means to be called off."""

    off: bool = False


class Calls:
    """Those of sessions, by key; the others know by themselves what it means to be cut short."""

    def __init__(self) -> None:
        self._underway: dict[Key, Underway] = {}

    @contextmanager
    def underway(self, key: Key | None, *, off: bool) -> Iterator[Underway]:
        """A call, while the block runs."""
        made = Underway(off)
        if key is not None:
            self._underway[key] = made
        try:
            yield made
        finally:
            if key is not None and self._underway.get(key) is made:
                del self._underway[key]

    def call_off(self, key: Key) -> None:
        """The client wants an end of it."""
        if key in self._underway:
            self._underway[key].off = True

    def __len__(self) -> int:
        return len(self._underway)
