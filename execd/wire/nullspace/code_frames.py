"""Nullspace's stream of a run: lines of `data: `, an empty line after each, and comments that keep it alive.

Of the journal's events those are sent that its clients know. Each has its `seq`, so that a stream can be resumed; what
was sent cannot be taken back, so an update of a display is one more result, and clearing is nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from anyio.lowlevel import checkpoint

from execd.events import Status
from execd.service.execution import Execution
from execd.service.journal import Slice
from execd.service.outputs import bundle_of, notice
from execd.wire.nullspace.results import Dress, Json, error_body, result_body

LONGEST_PAUSE = 10.0

_PIECE = 500

# The beginning of every record (execd.events).
_HEAD = re.compile(rb'\{"type":"(\w+)","seq":\d+,"timestamp":\d+(,"late":true)?')
_AS_THEY_ARE = frozenset({b"stdout", b"stderr"})
_UNSEEN = frozenset(
    {b"init", b"status", b"context_restarted", b"clear_output", b"input_request", b"report", b"checkpoint"}
)
_CANCELLED = {"name": "Cancelled", "value": "the run was cancelled", "traceback": ""}


def keepalive_pause(ping_interval: float) -> float:
    """The seconds between two comments: clients that hear nothing for 30 s hang up."""
    return min(ping_interval, LONGEST_PAUSE)


async def in_pieces(slices: AsyncGenerator[Slice, None]) -> AsyncGenerator[Slice, None]:
    """The same records, few at a time: making frames of them takes a while, and others have their turns in between."""
    async with aclosing(slices):
        async for found in slices:
            for start in range(0, len(found.records), _PIECE):
                yield Slice(found.first + start, found.records[start : start + _PIECE])
                await checkpoint()


class CodeFrames:
    """The frames of one execution's records for one client."""

    def __init__(self, execution: Execution, dress: Dress = dict) -> None:
        self._execution = execution
        self._dress = dress

    def frame(self, seq: int | None, record: bytes) -> bytes:  # noqa: ARG002  # these frames have no ids
        """What is told of a record, if anything."""
        head = _HEAD.match(record)
        if head is None or head[2] or head[1] in _UNSEEN:
            return b""
        if head[1] in _AS_THEY_ARE:
            return b"data: %s\n\n" % record
        event = json.loads(record)
        told = {"seq": event["seq"], "timestamp": event["timestamp"]}
        return b"".join(b"data: %s\n\n" % _line({**fields, **told}) for fields in self._told(event))

    def frames(self, records: Slice) -> bytes:
        """What is told of the records."""
        return b"".join([self.frame(None, record) for record in records.records])

    def ping(self) -> bytes:
        """A comment, which clients skip."""
        return b": keepalive\n\n"

    def _told(self, event: dict[str, Any]) -> list[Json]:
        found: list[Json] = []
        match event["type"]:
            case "result" | "update_display_data":
                is_main = event.get("is_main_result", False)
                found.append({"type": "result", **result_body(bundle_of(event), is_main=is_main), **_display(event)})
            case "artifact":
                found.append({"type": "artifact", "artifact": self._dress(event["artifact"])})
            case "error":
                found.append({"type": "error", **error_body(event["error"])})
            case "truncated" | "service_restarted":
                found.append({"type": "stderr", "text": notice(event)})
            case "execution_count":
                found.append(_count(event))
            case "execution_complete":
                found += self._last(event)
        return found

    def _last(self, event: dict[str, Any]) -> list[Json]:
        found = []
        if event["status"] == Status.CANCELLED and self._execution.error is None:
            # Without a word the end would look like a success.
            found.append({"type": "error", **_CANCELLED})
        if "execution_count" in event:
            found.append(_count(event))
        return found


def _count(event: dict[str, Any]) -> Json:
    return {"type": "number_of_executions", "execution_count": event["execution_count"]}


def _display(event: dict[str, Any]) -> Json:
    return {"display_id": event["display_id"]} if "display_id" in event else {}


def _line(fields: Json) -> bytes:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")
