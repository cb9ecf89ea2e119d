"""A run as lines of JSON: `status`, `output`, `keepalive`, and `result` last, numbered together from 1 on.

The numbers follow from the journal alone: whoever comes back finds each event under the number that it had before.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from execd.events import is_terminal
from execd.service.execution import Execution
from execd.service.transcript import transcript
from execd.wire.baponi.outcome import Outcome

MEDIA_TYPE = "application/x-ndjson"

_INIT = b'{"type":"init"'
_OUTPUT = (b'{"type":"stdout"', b'{"type":"stderr"')
_STREAMS = ("stdout", "stderr")
_KEEPALIVE = b'{"type":"keepalive"'
_TRUNCATED = b'{"type":"truncated"'
# Not str.splitlines, which knows more ends of lines than a terminal does.
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class Numbered:
    """The events of one run, as its journal's records are given one after the other; those after the number `after`
    are told, without the first if `only_output`."""

    def __init__(self, trace_id: str, after: int = 0, *, only_output: bool = False) -> None:
        self._trace_id = trace_id
        self._after = after
        self._only_output = only_output
        self._seq = 0
        self.truncated = False
        """Whether any output was left out."""

    def lines(self, record: bytes) -> bytes:
        """The lines that a record is, but for the result."""
        if record.startswith(_OUTPUT):
            event = json.loads(record)
            pieces = _LINE.findall(event["text"])
            return b"".join(self._line("output", stream=event["type"], data=piece) for piece in pieces)
        if record.startswith(_KEEPALIVE):
            return self._line("keepalive")
        if record.startswith(_INIT):
            told = self._line("status", trace_id=self._trace_id, status="running")
            return b"" if self._only_output else told
        if record.startswith(_TRUNCATED):
            self.truncated = self.truncated or json.loads(record)["stream"] in _STREAMS
        return b""

    def result(self, status: str, result: dict[str, Any]) -> bytes:
        """The last line."""
        told = {"trace_id": self._trace_id, "status": status, "result": result, "output_truncated": self.truncated}
        return self._line("result", **told)

    def _line(self, kind: str, **fields: Any) -> bytes:
        self._seq += 1
        if self._seq <= self._after:
            return b""
        return _encoder.encode({"type": kind, **fields, "seq": self._seq}).encode() + b"\n"


async def told(execution: Execution, events: Numbered) -> AsyncIterator[bytes]:
    """The lines of a run, as they come, until its result."""
    async for found in execution.follow():
        lines = b"".join(events.lines(record) for record in found.records)
        if lines:
            yield lines
        if is_terminal(found.records[-1]):
            outcome = Outcome.of(execution)
            result = outcome.result(await transcript(execution))
            yield events.result(outcome.status, result.model_dump())
