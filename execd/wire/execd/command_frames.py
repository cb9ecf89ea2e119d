r"""How a command's records look to clients of POST /command and of sessions: one event a line, and one end.

A record holds whole lines (execd.kernel.lines), so a frame never ends inside one. Only the last line of a record has
the record's id: a client that resumes after it has missed nothing and sees nothing twice. A command that failed ends
with its error, whose evalue is the exit code, and has no execution_complete.

Lines are cut where they are cheapest to find, in the encoded record: there a line end is the two bytes `\n`, and what
stands between two lines of one record is always the same. A million lines are a few replacements this way.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from execd.events import is_terminal
from execd.service.command import ENAME, KILLED
from execd.service.journal import Slice
from execd.wire.streams import Framing

_STDOUT = b'{"type":"stdout",'
_STDERR = b'{"type":"stderr",'
_ERROR = b'{"type":"error",'
_TRUNCATED = b'{"type":"truncated",'
_STATUS_OF_CODE = b'{"type":"status",'

# The text is the last field of an output event (execd.events).
_TEXT = b'"text":"'
_END = b'"}'

_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


class _Ending(Enum):
    """How a stream's last record ended: what a line end at the beginning of the next one belongs to."""

    LINE = "a new line begins"
    RETURN = "CR: LF would only complete that line's end"
    INSIDE = "inside a long line: any line end is that line's"


class CommandFrames:
    """A framing for one stream of a command's records; it remembers how each stream's last record ended, and whether
    there was an error."""

    def __init__(self, inner: Framing) -> None:
        self._inner = inner
        self._endings: dict[bytes, _Ending] = {}
        self._failed = False

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
        if record.startswith((_STDOUT, _STDERR)):
            return self._output(seq, record)
        if record.startswith(_ERROR):
            self._failed = True
            return self._inner.frame(seq, _as_command_error(json.loads(record)))
        if is_terminal(record):
            return self._end(seq, record)
        if record.startswith(_TRUNCATED):
            self._endings.clear()
        return b"" if record.startswith(_STATUS_OF_CODE) else self._inner.frame(seq, record)

    def _end(self, seq: int, record: bytes) -> bytes:
        event = json.loads(record)
        if event["status"] == "succeeded":
            return self._inner.frame(seq, record)
        # What never ran was cancelled without an error of its own.
        return b"" if self._failed else self._inner.frame(seq, _as_error(event))

    def _output(self, seq: int, record: bytes) -> bytes:
        before, mark, rest = record.partition(_TEXT)
        # From here on a backslash is the beginning of an escape, whatever stands before it.
        text = rest[: -len(_END)].replace(rb"\\", rb"\u005c")
        text = self._without_end_of_earlier_line(record[: len(_STDOUT)], text)
        if not text:
            return b""
        if rb"\r" in text:
            text = text.replace(rb"\r\n", rb"\n").replace(rb"\r", rb"\n")
        earlier, several, last = text.removesuffix(rb"\n").rpartition(rb"\n")
        opening, closing = self._inner.frame(None, before + mark + b"\0" + _END).split(b"\0")
        lines = [opening, earlier.replace(rb"\n", closing + opening), closing] if several else []
        frames = b"".join([*lines, self._inner.frame(seq, before + mark + last + _END)])
        if text.startswith(rb"\n") or rb"\n\n" in text:
            # Clients expect an empty line to have its end for a text.
            frames = frames.replace(_TEXT + _END, _TEXT + rb"\n" + _END)
        return frames

    def _without_end_of_earlier_line(self, stream: bytes, text: bytes) -> bytes:
        before = self._endings.get(stream, _Ending.LINE)
        if text.endswith(rb"\r"):
            self._endings[stream] = _Ending.RETURN
        else:
            self._endings[stream] = _Ending.LINE if text.endswith(rb"\n") else _Ending.INSIDE
        if before is _Ending.INSIDE and text.startswith(rb"\r"):
            return text.removeprefix(rb"\r").removeprefix(rb"\n")
        return text if before is _Ending.LINE else text.removeprefix(rb"\n")


def _as_command_error(event: dict[str, Any]) -> bytes:
    error = event["error"]
    if error["ename"] != ENAME:
        # A session's run that was stopped: clients read the exit code from evalue.
        why = f"{error['ename']}: {error['evalue']}"
        event["error"] = {"ename": ENAME, "evalue": KILLED, "traceback": [why]}
    return _encoder.encode(event).encode()


def _as_error(complete: dict[str, Any]) -> bytes:
    error = {"ename": ENAME, "evalue": KILLED, "traceback": [complete.get("reason", complete["status"])]}
    fields = {"type": "error", "seq": complete["seq"], "timestamp": complete["timestamp"], "error": error}
    return _encoder.encode(fields).encode()
