"""The end of a run's output: the last bytes of both streams, in the order in which they came, within a bound.

Pure. What is kept of a stream is always a suffix of it. Where something was dropped before it, it begins at the start
of a line if the beginning of one is held at all, and never inside a character.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

# What an event costs besides its text, so that a million empty ones do not fit either.
EVENT_OVERHEAD = 64

_PIECE = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive text of one stream; `size` is its length in bytes."""

    stream: str
    text: str
    size: int

    @property
    def cost(self) -> int:
        """What it takes of the room."""
        return self.size + EVENT_OVERHEAD


def byte_size(text: str) -> int:
    """The number of bytes of the text in UTF-8, lone surrogates included."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class Tail:
    """Takes text without end and holds the last of it. `dropped` counts bytes by stream, `held` what the rest costs."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._pieces: deque[Piece] = deque()
        self._inside_line: dict[str, bool] = {}
        self.dropped: Counter[str] = Counter()
        self.held = 0

    def add(self, stream: str, text: str) -> None:
        """Hold this text, at the cost of the oldest."""
        if not text:
            return
        last = self._pieces[-1] if self._pieces else None
        if last is not None and last.stream == stream and last.size < _PIECE:
            self._pieces.pop()
            self.held -= last.cost
            self._push(Piece(stream, last.text + text, last.size + byte_size(text)))
        else:
            self._push(Piece(stream, text, byte_size(text)))

    def take(self) -> list[Piece]:
        """What is held, in order. The tail is empty afterwards."""
        if self.held > self._room:
            first = self._drop_first_piece()
            room = self._room - self.held - EVENT_OVERHEAD
            self._keep_end(first, room)
        for stream in [stream for stream, inside in self._inside_line.items() if inside]:
            self._drop_to_line_start(stream)
        pieces = list(self._pieces)
        self._pieces.clear()
        self.held = 0
        return pieces

    def _push(self, piece: Piece) -> None:
        self._pieces.append(piece)
        self.held += piece.cost
        while self.held - self._pieces[0].cost >= self._room:
            first = self._drop_first_piece()
            self._note_dropped(first.stream, first.text)
        if self._pieces[0].cost > self._room + _PIECE:
            # One huge text: the part that cannot be kept must not stay in memory.
            self._keep_end(self._drop_first_piece(), self._room)

    def _drop_first_piece(self) -> Piece:
        first = self._pieces.popleft()
        self.held -= first.cost
        return first

    def _keep_end(self, piece: Piece, room: int) -> None:
        kept = _suffix(piece.text, room)
        self._note_dropped(piece.stream, piece.text[: len(piece.text) - len(kept)])
        if kept:
            piece = Piece(piece.stream, kept, byte_size(kept))
            self._pieces.appendleft(piece)
            self.held += piece.cost

    def _note_dropped(self, stream: str, text: str) -> None:
        if text:
            self.dropped[stream] += byte_size(text)
            self._inside_line[stream] = not text.endswith("\n")

    def _drop_to_line_start(self, stream: str) -> None:
        text = "".join(piece.text for piece in self._pieces if piece.stream == stream)
        excess = text.find("\n") + 1
        if excess == len(text):
            return
        for index, piece in enumerate(self._pieces):
            if piece.stream == stream and excess:
                gone, left = piece.text[:excess], piece.text[excess:]
                excess -= len(gone)
                self._note_dropped(stream, gone)
                self._pieces[index] = Piece(stream, left, byte_size(left))
        self._pieces = deque(piece for piece in self._pieces if piece.text)


def _suffix(text: str, room: int) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    start = len(raw) - max(room, 0)
    while 0 < start < len(raw) and raw[start] & 0xC0 == 0x80:
        start += 1
    return raw[max(start, 0) :].decode("utf-8", "surrogatepass")
