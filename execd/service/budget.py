"""The output budget of a run: what fits is kept from the head and from the tail, and what was dropped is counted.

Pure: text goes in, events to journal come out. Memory is bounded by the size of the tail. Cuts are made at line
ends; only a single line that is longer than the room left is cut inside, and then between two characters.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from execd.events import Bundle, ClearOutput, Event, Output, Stderr, Stdout, Truncated

# What an event costs besides its text, so that a million empty ones do not fit either.
EVENT_OVERHEAD = 64

_PIECE = 4096


@dataclass(frozen=True, slots=True)
class _Piece:
    stream: str
    text: str
    size: int


def byte_size(text: str) -> int:
    """The number of bytes of the text in UTF-8, lone surrogates included."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def split_head(text: str, room: int) -> tuple[str, str]:
    """What of the text fits into `room` bytes, and the rest: cut at a line end if one fits, else between characters."""
    if byte_size(text) <= room:
        return text, ""
    fitting = _prefix(text, room)
    line_end = fitting.rfind("\n") + 1
    cut = line_end or len(fitting)
    return text[:cut], text[cut:]


def keep_tail(text: str, room: int) -> str:
    """The end of the text that fits into `room` bytes, from a line's start where there is one."""
    if byte_size(text) <= room:
        return text
    fitting = _suffix(text, room)
    starts_line = text[: len(text) - len(fitting)].endswith("\n")
    line_start = 0 if starts_line else fitting.find("\n") + 1
    return fitting[line_start:] if line_start < len(fitting) else fitting


def _prefix(text: str, room: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")[: max(room, 0)]
    while raw:
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raw = raw[:-1]
    return ""


def _suffix(text: str, room: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    start = len(raw) - max(room, 0)
    while start < len(raw) and raw[start] & 0xC0 == 0x80:
        start += 1
    return raw[start:].decode("utf-8", "surrogatepass")


class OutputBudget:
    """The budget of one run. `admit` gives what to journal now, `settle` what to journal before the end."""

    def __init__(self, total: int, tail: int, rich: int) -> None:
        self._tail_room = min(tail, total // 2)
        self._head_room = total - self._tail_room
        self._rich_room = rich
        self._tail: deque[_Piece] = deque()
        self._tail_size = 0
        self._seen: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._open = True

    @property
    def exhausted(self) -> bool:
        """Whether text no longer goes straight to the journal."""
        return not self._open

    def exhaust(self) -> None:
        """Take no more into the head, whatever room is left: the journal cannot grow."""
        self._open = False
        self._rich_room = 0

    def admit(self, event: Event) -> list[Event]:
        """The events to journal for this one, now."""
        match event:
            case Output():
                return self._admit_text(event)
            case Bundle() | ClearOutput():
                return self._admit_rich(event)
            case _:
                return [event]

    def settle(self) -> list[Event]:
        """What was dropped, a `truncated` event a stream, and the kept tail. To be called once, at the run's end."""
        tail = self._trimmed_tail()
        truncated = [Truncated(name, count, self._seen[name]) for name, count in sorted(self._dropped.items()) if count]
        return [*truncated, *tail]

    def _admit_text(self, event: Output) -> list[Event]:
        size = byte_size(event.text)
        self._seen[event.type] += size
        if not self._open:
            self._keep(event.type, event.text, size)
            return []
        if size + EVENT_OVERHEAD <= self._head_room:
            self._head_room -= size + EVENT_OVERHEAD
            return [event]
        self._open = False
        head, rest = split_head(event.text, self._head_room - EVENT_OVERHEAD)
        self._keep(event.type, rest, byte_size(rest))
        return [type(event)(head)] if head else []

    def _keep(self, stream: str, text: str, size: int) -> None:
        if size > self._tail_room:
            kept = keep_tail(text, self._tail_room)
            self._dropped[stream] += size - byte_size(kept)
            text, size = kept, byte_size(kept)
        last = self._tail[-1] if self._tail else None
        if last is not None and last.stream == stream and last.size < _PIECE:
            self._tail[-1] = _Piece(stream, last.text + text, last.size + size)
        else:
            self._tail.append(_Piece(stream, text, size))
        self._tail_size += size
        while self._tail_size - self._tail[0].size >= self._tail_room:
            self._drop_first()

    def _drop_first(self) -> None:
        piece = self._tail.popleft()
        self._tail_size -= piece.size
        self._dropped[piece.stream] += piece.size

    def _trimmed_tail(self) -> list[Event]:
        if not self._tail:
            return []
        first = self._tail.popleft()
        room = first.size - max(self._tail_size - self._tail_room, 0)
        kept = self._from_line_start(first, room)
        self._dropped[first.stream] += first.size - byte_size(kept)
        pieces = [_Piece(first.stream, kept, 0), *self._tail]
        self._tail.clear()
        return [_output(piece) for piece in pieces if piece.text]

    def _from_line_start(self, piece: _Piece, room: int) -> str:
        if room < piece.size:
            return keep_tail(piece.text, room)
        if not any(self._dropped.values()):
            return piece.text
        # Whole pieces were dropped before this one: it may begin inside a line.
        line_start = piece.text.find("\n") + 1
        return piece.text[line_start:] if 0 < line_start < len(piece.text) else piece.text

    def _admit_rich(self, event: Bundle | ClearOutput) -> list[Event]:
        size = EVENT_OVERHEAD + (_bundle_size(event) if isinstance(event, Bundle) else 0)
        self._seen["result"] += size
        if size <= self._rich_room:
            self._rich_room -= size
            return [event]
        self._dropped["result"] += size
        return []


def _output(piece: _Piece) -> Event:
    return Stderr(piece.text) if piece.stream == Stderr.type else Stdout(piece.text)


def _bundle_size(event: Bundle) -> int:
    return sum(byte_size(value) if isinstance(value, str) else byte_size(repr(value)) for value in event.data.values())
