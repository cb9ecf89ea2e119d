"""How a command's records look to clients of POST /command and of sessions: one event a line, and one end.

A record holds whole lines (execd.kernel.lines), so a frame never ends inside one. Only the last line of a record has
the record's id: a client that resumes after it has missed nothing and sees nothing twice. A command that failed ends
with its error, whose evalue is the exit code, and has no execution_complete.
"""

from __future__ import annotations

import json
from typing import Any

from execd.events import is_terminal
from execd.kernel.lines import split_lines
from execd.service.command import ENAME, KILLED
from execd.service.journal import Slice
from execd.wire.streams import Framing

_OUTPUT = (b'{"type":"stdout",', b'{"type":"stderr",')
_ERROR = b'{"type":"error",'
_STATUS_OF_CODE = b'{"type":"status",'

_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class CommandFrames:
    """A framing for one stream of a command's records; it remembers only whether a stream's last line ended in CR."""

    def __init__(self, inner: Framing) -> None:
        self._inner = inner
        self._after_return = {"stdout": False, "stderr": False}

    def frame(self, seq: int | None, record: bytes) -> bytes:
        """One record as it is."""
        return self._inner.frame(seq, record)

    def frames(self, records: Slice) -> bytes:
        """The frames of these records; perhaps none."""
        numbered = enumerate(records.records, start=records.first)
        return b"".join([self._frames_of(seq, record) for seq, record in numbered])

    def ping(self) -> bytes:
        """A ping event."""
        return self._inner.ping()

    def _frames_of(self, seq: int, record: bytes) -> bytes:
        if record.startswith(_OUTPUT):
            return self._lines(seq, json.loads(record))
        if record.startswith(_ERROR):
            return self._inner.frame(seq, _as_command_error(json.loads(record)))
        if is_terminal(record) and json.loads(record)["status"] != "succeeded":
            return b""
        return b"" if record.startswith(_STATUS_OF_CODE) else self._inner.frame(seq, record)

    def _lines(self, seq: int, event: dict[str, Any]) -> bytes:
        stream, text = event["type"], event["text"]
        lines = split_lines(text, self._after_return[stream])
        self._after_return[stream] = text.endswith("\r")
        if not lines:
            return b""
        before, after = f'{{"type":"{stream}","text":', f',"seq":{seq},"timestamp":{event["timestamp"]}}}'
        encode = _encoder.encode
        frames = [self._inner.frame(None, f"{before}{encode(line)}{after}".encode()) for line in lines[:-1]]
        frames.append(self._inner.frame(seq, f"{before}{encode(lines[-1])}{after}".encode()))
        return b"".join(frames)


def _as_command_error(event: dict[str, Any]) -> bytes:
    error = event["error"]
    if error["ename"] != ENAME:
        # A session's run that was stopped: clients read the exit code from evalue.
        why = f"{error['ename']}: {error['evalue']}"
        event["error"] = {"ename": ENAME, "evalue": KILLED, "traceback": [why]}
    return _encoder.encode(event).encode()
