"""Keeps the time of all sandboxes, in one task that sleeps until something can be due."""

from __future__ import annotations

import anyio
import anyio.abc
import structlog

from execd.service.expiry import Standing, due, next_look
from execd.service.journal import now_ms
from execd.service.record import EndReason, SandboxRecord, SandboxStatus
from execd.service.sandbox import Sandbox
from execd.service.sandboxes import Sandboxes

_IDLE_CHECKS_A_TIMEOUT = 4


async def keep_time(sandboxes: Sandboxes, tasks: anyio.abc.TaskGroup) -> None:
    """End, or pause, the sandboxes whose time is over, for ever; each in a task of its own."""
    while True:
        now = now_ms()
        left: list[Standing] = []
        for sandbox in sandboxes.living():
            standing = standing_of(sandboxes.get(sandbox.id), sandbox)
            reason = due(standing, now)
            if reason is None:
                left.append(standing)
            else:
                tasks.start_soon(_end, sandboxes, sandbox.id, reason)
        with anyio.move_on_after(next_look(left, now)):
            await sandboxes.until_changed()


def standing_of(record: SandboxRecord, sandbox: Sandbox) -> Standing:
    """What decides over a sandbox."""
    idle_ms = None if record.idle_timeout is None else round(record.idle_timeout * 1000)
    paused = record.status is SandboxStatus.PAUSED
    return Standing(record.expires_at, idle_ms, sandbox.active_at, sandbox.busy, paused)


async def hibernate_idle(sandboxes: Sandboxes, idle_timeout: float) -> None:
    """End the kernels of contexts that have been idle for `idle_timeout` seconds, for ever."""
    while True:
        await anyio.sleep(idle_timeout / _IDLE_CHECKS_A_TIMEOUT)
        for sandbox in sandboxes.living():
            await sandbox.contexts.hibernate_idle(idle_timeout)


async def _end(sandboxes: Sandboxes, sandbox_id: str, reason: EndReason) -> None:
    structlog.contextvars.clear_contextvars()
    await sandboxes.time_is_over(sandbox_id, reason)
