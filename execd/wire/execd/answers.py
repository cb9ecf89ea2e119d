"""How executions are answered: as a stream of code's events or of a command's lines, and by headers."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from execd.service.execution import Execution
from execd.service.journal import Slice, now_ms
from execd.wire.execd.command_frames import CommandFrames
from execd.wire.state import sandbox_of
from execd.wire.streams import Framing, event_stream, framing_for, whole_stream

EXECUTION_HEADER = "EXECD-EXECUTION-ID"
RUNG_HEADER = "EXECD-INTERRUPT-RUNG"
STATE_HEADER = "EXECD-CONTEXT-STATE"


def code_stream(request: Request, execution: Execution, after: int = 0) -> Response:
    """An execution's events after the seq `after`, as they stand in its journal."""
    return _stream(request, execution, execution.follow(after), _framing(request))


def command_stream(request: Request, execution: Execution) -> Response:
    """An execution's events in the form that commands have."""
    return _stream(request, execution, execution.follow(), CommandFrames(_framing(request)))


async def background_stream(request: Request, execution: Execution) -> Response:
    """That a background command was accepted, which is all that its stream says."""
    framing = _framing(request)
    # Not the journal's end: it has no id to resume after.
    accepted = b'{"type":"execution_complete","timestamp":%d,"status":"succeeded"}' % now_ms()
    begun = await execution.journal.read(0)
    frames = (framing.frame(1, begun.records[0]), framing.ping(), framing.frame(None, accepted))
    return whole_stream(b"".join(frames), {EXECUTION_HEADER: execution.id})


def interruption_headers(execution: Execution | None) -> dict[str, str]:
    """What an interrupt did: the rung of the ladder that worked, and what became of the context's variables."""
    complete = None if execution is None else execution.complete
    if execution is None or complete is None:
        return {RUNG_HEADER: "none", STATE_HEADER: "kept"}
    interruption = complete.interruption
    return {
        EXECUTION_HEADER: execution.id,
        RUNG_HEADER: interruption.rung if interruption else "none",
        STATE_HEADER: "kept" if interruption is None or interruption.state_kept else "lost",
    }


def _framing(request: Request) -> Framing:
    return framing_for(request.headers.get("user-agent", ""))


def _stream(request: Request, execution: Execution, records: AsyncGenerator[Slice, None], framing: Framing) -> Response:
    settings = sandbox_of(request).settings
    headers = {EXECUTION_HEADER: execution.id}
    journal = execution.journal
    return event_stream(records, framing, settings.ping_interval, headers, lambda: journal.left)
