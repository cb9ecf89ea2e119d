"""Waiting for the end of an execution: telling how it goes on, and stopping it if the call is called off."""

from __future__ import annotations

import time

import anyio
import structlog

from execd.events import Status
from execd.service.execution import Execution
from execd.service.sandbox import Sandbox
from execd.service.transcript import pieces
from execd.wire.mcp.call import Call
from execd.wire.mcp.cutting import plain

log = structlog.get_logger(__name__)

# Between two reports while output comes.
_PAUSE_SECONDS = 1.0
_MOST_CHARACTERS = 200


async def wait_for(call: Call, sandbox: Sandbox | None, execution: Execution, seconds: float) -> None:
    """Return when it has ended, when it goes on with the next service, or after so many seconds. If the call is called
    off meanwhile, it is stopped; `sandbox` is where that is done, None where its end needs nobody's help."""
    try:
        with anyio.move_on_after(seconds):
            await _Watch(call, execution).run()
    except anyio.get_cancelled_exc_class():
        if call.underway.off and not execution.journal.left and not execution.journal.ended:
            with anyio.CancelScope(shield=True):
                await stop(sandbox, execution)
        raise


async def stop(sandbox: Sandbox | None, execution: Execution) -> None:
    """Ask for its end, which the ladder brings about."""
    log.info("call_called_off", execution_id=execution.id)
    if sandbox is None or execution.context_id is None:
        execution.cancel()
    else:
        await sandbox.cancel(execution)


class _Watch:
    """Follows an execution, and reports every now and then: at most once a second while it prints, and as often as
    streams have pings while it is silent."""

    def __init__(self, call: Call, execution: Execution) -> None:
        self._call = call
        self._execution = execution
        self._began = time.monotonic()
        self._reported = float("-inf")
        self._last_line = ""

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._report_silence)
            await self._follow()
            tasks.cancel_scope.cancel()

    async def _follow(self) -> None:
        async for told in self._execution.follow():
            text = "".join(piece.text for piece in pieces(told.records[-100:]))
            self._last_line = last_line(text) or self._last_line
            if text and time.monotonic() - self._reported >= _PAUSE_SECONDS and not self._execution.journal.ended:
                await self._report()
        if self._execution.journal.ended:
            await self._execution.ended.wait()

    async def _report_silence(self) -> None:
        every = self._call.settings.ping_interval
        while True:
            silent = time.monotonic() - self._reported
            if silent >= every:
                await self._report()
                silent = 0
            await anyio.sleep(every - silent)

    async def _report(self) -> None:
        self._reported = time.monotonic()
        seconds = self._reported - self._began
        await self._call.report(seconds, said_of(self._execution.status, seconds, self._last_line))


def last_line(text: str) -> str:
    """The last line of a text that is not empty, as a terminal would show it, and not too long."""
    lines = plain(text).replace("\r", "\n").split("\n")
    return next((line.strip()[:_MOST_CHARACTERS] for line in reversed(lines) if line.strip()), "")


def said_of(status: Status, seconds: float, line: str) -> str:
    """What a report says."""
    said = f"{status.value}, {seconds:.0f} s"
    return f"{said}: {line}" if line else said
