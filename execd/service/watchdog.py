"""What looks after limits that nothing of the machine holds: one task for all sandboxes.

Memory, where there is no control group: when the processes of a sandbox take more together than they may, the largest
is killed. The size of a workspace, where it is a folder of a disk without a quota: while it is over, files can neither
be uploaded nor written, by a limit of each process (EFBIG); who lifts that limit is killed. Between two looks more may
be taken than is allowed: how long that is depends on how close the limit is, and on what a look costs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import psutil
import structlog
from anyio import to_thread

from execd.isolation.plan import Limits
from execd.service.footprint import Footprint, footprints, size_of_tree

log = structlog.get_logger(__name__)

_SOONEST, _LATEST = 0.1, 2.0
_SHARE = 20
"""What a look costs is at most this part of the time."""


@dataclass(eq=False)
class Watched:
    """A sandbox that is looked after. `limits` has only what is to be held for it; `members` are its processes;
    `on_kill` is called before one is killed for its memory, `on_full` again and again while its
    workspace is full, and once when it is not any more."""

    sandbox_id: str
    limits: Limits
    workspace: Path
    members: Callable[[], Awaitable[Sequence[int]]]
    on_kill: Callable[[], None]
    on_full: Callable[[bool], Awaitable[None]]
    full: bool = False
    due: float = 0.0


def victim(found: Sequence[Footprint], limit: int) -> Footprint | None:
    """The process that has to end, None while all of them take no more than they may."""
    if sum(each.bytes for each in found) <= limit:
        return None
    return max(found, key=lambda each: each.bytes)


def pause(used: int, limit: int, cost: float, *, full: bool = False) -> float:
    """How long to wait until the next look, in seconds, after one that cost this much."""
    left = 0.0 if full else max(1 - used / max(limit, 1), 0.0)
    return max(_SOONEST + left * (_LATEST - _SOONEST), cost * _SHARE)


class Watchdog:
    """Looks after the sandboxes that it was given, while `run` runs."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._changed = anyio.Event()

    def watch(self, watched: Watched) -> Callable[[], None]:
        """Look after a sandbox from now on, if there is anything to look after. Returns what ends that."""
        if watched.limits != Limits():
            self._watched.add(watched)
            self._changed.set()
        return partial(self._watched.discard, watched)

    async def run(self) -> None:
        """Look, for ever."""
        structlog.contextvars.clear_contextvars()
        while True:
            due = min((each.due for each in self._watched), default=math.inf)
            with anyio.move_on_after(max(due - time.monotonic(), 0)):
                await self._changed.wait()
            self._changed = anyio.Event()
            for watched in [each for each in self._watched if each.due <= time.monotonic()]:
                await self._look(watched)

    async def _look(self, watched: Watched) -> None:
        waits = [_LATEST]
        try:
            if watched.limits.memory is not None:
                waits.append(await _look_at_memory(watched, watched.limits.memory))
            if watched.limits.workspace_size is not None:
                waits.append(await _look_at_workspace(watched, watched.limits.workspace_size))
        except OSError as error:
            log.debug("sandbox_not_seen", sandbox_id=watched.sandbox_id, why=str(error))
        except Exception:  # there are others to look after
            log.exception("sandbox_not_seen", sandbox_id=watched.sandbox_id)
        watched.due = time.monotonic() + min(waits) if len(waits) > 1 else time.monotonic() + _LATEST


async def _look_at_memory(watched: Watched, limit: int) -> float:
    began = time.monotonic()
    found = await to_thread.run_sync(footprints, await watched.members(), limit)
    found_victim = victim(found, limit)
    if found_victim is not None:
        log.warning("sandbox_out_of_memory", sandbox_id=watched.sandbox_id, pid=found_victim.process.pid)
        watched.on_kill()
        with suppress(psutil.NoSuchProcess):
            found_victim.process.kill()
    used = sum(each.bytes for each in found)
    return pause(used, limit, time.monotonic() - began)


async def _look_at_workspace(watched: Watched, limit: int) -> float:
    began = time.monotonic()
    used = await to_thread.run_sync(size_of_tree, watched.workspace, limit)
    full = used > limit
    if full != watched.full:
        log.warning("workspace_full" if full else "workspace_has_room", sandbox_id=watched.sandbox_id, bytes=used)
    if full or watched.full:
        # Again and again while it is full, for the sake of what has started since.
        await watched.on_full(full)
        watched.full = full
    return pause(used, limit, time.monotonic() - began, full=full)
