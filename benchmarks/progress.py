"""A line on stderr that says what is going on."""

from __future__ import annotations

import sys
import time


class Progress:
    """Overwrites its line on a terminal; elsewhere it prints a line for each row and round."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._row = ""
        self._said = ""

    def row(self, name: str, number: int, count: int) -> None:
        """A row begins."""
        self._row = f"[{number}/{count}] {name}"
        self.tell("getting ready")

    def tell(self, what: str) -> None:
        """What the row is doing now."""
        said = f"{self._row}: {what}"
        if said == self._said:
            return
        self._said = said
        line = f"{time.monotonic() - self._started:6.0f} s  {said}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def done(self) -> None:
        """Nothing more will be said."""
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
