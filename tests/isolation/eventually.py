"""Waiting for what the kernel does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(holds: Callable[[], object], within: float = 20) -> None:
    """Returns once it holds; fails the test when it takes too long."""
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.005)
