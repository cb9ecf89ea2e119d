"""Where clients wait while somebody looks at the service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Gate:
    """Closed at first. `count` clients pass it, each once before everything that it does."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._changed = threading.Condition()
        self._open = False
        self._over = False
        self._waiting = 0

    def passed(self, before_waiting: Callable[[], None]) -> bool:
        """Called by a client: returns True when the gate is open, False when nothing more is wanted. `before_waiting`
        is called first if it is closed."""
        if self._closed():
            before_waiting()
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open or self._over)
            self._waiting -= 1
            return not self._over

    def leave(self) -> None:
        """Called by a client that will not come again."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def open(self) -> None:
        """Let clients pass."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def close(self, patience: float) -> bool:
        """Let none pass any more; whether all of them wait within `patience` seconds."""
        deadline = time.monotonic() + patience
        with self._changed:
            self._open = False
            return self._changed.wait_for(lambda: self._waiting == self._count, deadline - time.monotonic())

    def end(self) -> None:
        """Send everybody home."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _closed(self) -> bool:
        with self._changed:
            return not self._open and not self._over
