"""A window of a text's lines, cut out of its bytes block by block."""

from __future__ import annotations


class LineWindow:
    """The lines from `offset` (the first is 1) on, at most `limit` of them, joined by LF.

    A line ends with LF; one CR before it is dropped, as is the last line's end. The text may be of any size: a line
    is never held, only what could be the end of one.
    """

    def __init__(self, offset: int = 1, limit: int | None = None) -> None:
        self._skip = offset - 1
        self._left = limit
        self._held = b""

    @property
    def done(self) -> bool:
        """Whether no later byte can matter."""
        return self._left == 0

    def feed(self, block: bytes) -> bytes:
        """What the next bytes of the text add to the window."""
        wanted = self._within_limit(self._after_offset(block))
        if not wanted:
            return b""
        text = self._held + wanted
        self._held = _line_end(text)
        return text[: len(text) - len(self._held)].replace(b"\r\n", b"\n")

    def _after_offset(self, block: bytes) -> bytes:
        if not self._skip:
            return block
        ends = block.count(b"\n")
        if ends < self._skip:
            self._skip -= ends
            return b""
        rest = block.split(b"\n", self._skip)[-1]
        self._skip = 0
        return rest

    def _within_limit(self, block: bytes) -> bytes:
        if self._left is None:
            return block
        ends = block.count(b"\n")
        if ends < self._left:
            self._left -= ends
            return block
        rest = block.split(b"\n", self._left)[-1]
        self._left = 0
        return block[: len(block) - len(rest)] if rest else block


def _line_end(text: bytes) -> bytes:
    for end in (b"\r\n", b"\n", b"\r"):
        if text.endswith(end):
            return end
    return b""
