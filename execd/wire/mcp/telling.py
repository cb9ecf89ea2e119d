"""What an execution has to tell, read out of its journal without ever holding much more of it than is shown."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from execd.service.execution import Execution
from execd.service.outputs import Outputs, outputs_of
from execd.service.transcript import pieces
from execd.wire.mcp.cutting import cut, plain, size_of

# How much more than is shown may be held, so that the middle is not thrown away for every piece that comes.
_SLACK = 4


class HeadAndTail(list[str]):
    """Pieces of a stream; of what is much longer than `most` bytes only the beginning and the end are held."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._size = 0
        self.missing_bytes = self.missing_lines = 0

    @property
    def size(self) -> int:
        """Bytes of all that was said."""
        return self._size + self.missing_bytes

    def append(self, text: str) -> None:
        """More of it."""
        super().append(text)
        self._size += size_of(text)
        if self._size > 2 * _SLACK * self._most:
            self._let_go()

    def clear(self) -> None:
        """It never was."""
        super().clear()
        self._size = self.missing_bytes = self.missing_lines = 0

    def _let_go(self) -> None:
        raw = "".join(self).encode("utf-8", "replace")
        ends = [raw[: self._most].decode("utf-8", "ignore"), raw[-self._most :].decode("utf-8", "ignore")]
        self._size = sum(map(size_of, ends))
        self.missing_bytes += len(raw) - self._size
        self.missing_lines += raw.count(b"\n") - sum(end.count("\n") for end in ends)
        self[:] = ends


async def told_of(execution: Execution, most: int) -> Outputs:
    """What it has brought forth so far, of each stream as much as it takes to show `most` bytes of it. Raises
    StorageFull."""
    return await outputs_of(execution, Outputs(stdout=HeadAndTail(most), stderr=HeadAndTail(most)))


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines; `following` is the number of the first one after them, None at the end."""

    text: str
    following: int | None


class Pager:
    """Takes a text in pieces, and gives its lines from the number `first` on (the first is 1), `count` of them or as
    many as fit into `most` bytes, but at least one; of one that does not fit, head and tail. Pure."""

    def __init__(self, first: int, most: int, count: int | None = None) -> None:
        self._skip = first - 1
        self._number = first
        self._last = None if count is None else first + count - 1
        self._most = most
        self._found = ""
        self._line = HeadAndTail(most)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.full = False

    def feed(self, text: str) -> None:
        """The next piece."""
        *whole, rest = self._wanted(text).split("\n")
        for line in whole:
            self._line.append(f"{line}\n")
            self._settle()
        if rest and not self.full:
            self._line.append(rest)

    def feed_bytes(self, block: bytes) -> None:
        """The same of UTF-8, which may be cut anywhere."""
        self.feed(self._decoder.decode(block))

    def end(self) -> Lines:
        """What was wanted, when the text is at its end, or there is enough of it."""
        if self._line:
            self._settle()
        return Lines(plain(self._found), self._number if self.full else None)

    def _wanted(self, text: str) -> str:
        ends = text.count("\n")
        if ends < self._skip:
            self._skip -= ends
            return ""
        text = text.split("\n", self._skip)[-1]
        self._skip = 0
        return text

    def _settle(self) -> None:
        if self.full:
            return
        line = cut("".join(self._line), self._most, self._line.missing_bytes).text
        self._line.clear()
        beyond = self._last is not None and self._number > self._last
        if beyond or (self._found and size_of(self._found) + size_of(line) > self._most):
            self.full = True
            return
        self._found += line
        self._number += 1


async def lines_of(execution: Execution, first: int, most: int) -> Lines:
    """The same of what an execution has printed, both streams as they came. Raises StorageFull."""
    pager, after = Pager(first, most), 0
    while not pager.full and (told := await execution.journal.read(after)).records:
        for piece in pieces(told.records):
            pager.feed(piece.text)
        after = told.last
    return pager.end()
