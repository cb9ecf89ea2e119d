"""Waiting for what gives no event: another process's end, a record that changes on the other side of HTTP."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import psutil

Found = TypeVar("Found")

_DEADLINE_SECONDS = 30
_PAUSE_SECONDS = 0.02


def eventually(condition: Callable[[], bool]) -> None:
    """Return once the condition holds; fail when it still does not after half a minute."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still not so: {condition}"
        time.sleep(_PAUSE_SECONDS)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, reaped by whoever inherited it or not yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def eventually_found(ask: Callable[[], Awaitable[Found]], wanted: Callable[[Found], bool]) -> Found:
    """The first answer that is wanted; TimeoutError when there is none within half a minute."""
    with anyio.fail_after(_DEADLINE_SECONDS):
        while not wanted(found := await ask()):  # noqa: ASYNC110  # another process sets no event here
            await anyio.sleep(_PAUSE_SECONDS)
    return found
