"""The output budget of a run: what fits is kept from the head and from the tail, and what was dropped is counted.

Pure: text goes in, events to journal come out. Memory is bounded by the size of the tail (execd.service.tail). The
head is cut at a line end; only a single line that is longer than the room left is cut inside, and then between two
characters.
"""

from __future__ import annotations

from collections import Counter

from execd.events import (
    Bundle,
    Checkpoint,
    ClearOutput,
    Error,
    Event,
    Output,
    Report,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
)
from execd.service.failures import Failures
from execd.service.tail import EVENT_OVERHEAD, Piece, Tail, byte_size


def split_head(text: str, room: int) -> tuple[str, str]:
    """What of the text fits into `room` bytes, and the rest: cut at a line end if one fits, else between characters."""
    if byte_size(text) <= room:
        return text, ""
    fitting = _prefix(text, room)
    line_end = fitting.rfind("\n") + 1
    cut = line_end or len(fitting)
    return text[:cut], text[cut:]


def _prefix(text: str, room: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")[: max(room, 0)]
    while raw:
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raw = raw[:-1]
    return ""


class OutputBudget:
    """The budget of one run. `admit` gives what to journal now, `settle` what to journal before the end."""

    def __init__(self, total: int, tail: int, rich: int) -> None:
        tail = min(tail, total // 2)
        self._tail = Tail(tail)
        self._head_room = total - tail
        self._rich_room = rich
        self._rich_dropped = 0
        self._failures = Failures()
        self._seen: Counter[str] = Counter()
        self._open = True

    @property
    def held(self) -> int:
        """The bytes that are held back for the end."""
        return self._tail.held

    @property
    def exhausted(self) -> bool:
        """Whether text no longer goes straight to the journal."""
        return not self._open

    def fits(self, text: str) -> bool:
        """Whether the head has room for this text."""
        return self._open and byte_size(text) + EVENT_OVERHEAD <= self._head_room

    def exhaust(self) -> None:
        """Take no more into the head, whatever room is left: the journal cannot grow."""
        self._open = False
        self._rich_room = 0

    def admit(self, event: Event) -> list[Event]:
        """The events to journal for this one, now."""
        match event:
            case Output():
                return self._admit_text(event)
            case Bundle() | ClearOutput() | Report() | Checkpoint():
                return self._admit_rich(event)
            case Error() | StatusChanged():
                # The end of the output, which is held back, was written before this.
                return self._failures.admit(event, hold=not self._open)
            case _:
                return [event]

    def settle(self) -> list[Event]:
        """What was dropped, a `truncated` event a stream, the kept tail, and the error after it. To be called once, at
        the run's end."""
        tail = [_output(piece) for piece in self._tail.take()]
        dropped = self._tail.dropped + Counter({"result": self._rich_dropped, "error": self._failures.dropped})
        seen = self._seen | Counter({"error": self._failures.seen})
        truncated = [Truncated(name, count, seen[name]) for name, count in sorted(dropped.items())]
        return [*truncated, *tail, *self._failures.settle()]

    def _admit_text(self, event: Output) -> list[Event]:
        size = byte_size(event.text)
        self._seen[event.type] += size
        if not self._open:
            self._tail.add(event.type, event.text)
            return []
        if size + EVENT_OVERHEAD <= self._head_room:
            self._head_room -= size + EVENT_OVERHEAD
            return [event]
        self._open = False
        head, rest = split_head(event.text, self._head_room - EVENT_OVERHEAD)
        self._tail.add(event.type, rest)
        return [type(event)(head)] if head else []

    def _admit_rich(self, event: Bundle | ClearOutput | Report | Checkpoint) -> list[Event]:
        size = EVENT_OVERHEAD + _rich_size(event)
        self._seen["result"] += size
        if size <= self._rich_room:
            self._rich_room -= size
            return [event]
        self._rich_dropped += size
        return []


def _output(piece: Piece) -> Event:
    return Stderr(piece.text) if piece.stream == Stderr.type else Stdout(piece.text)


def _rich_size(event: Event) -> int:
    match event:
        case Bundle():
            return _bundle_size(event)
        case Report() | Checkpoint():
            return byte_size(repr(event))
        case _:
            return 0


def _bundle_size(event: Bundle) -> int:
    metadata = byte_size(repr(event.metadata)) if event.metadata else 0
    return metadata + sum(byte_size(kind) + _value_size(value) for kind, value in event.data.items())


def _value_size(value: object) -> int:
    return byte_size(value if isinstance(value, str) else repr(value))
