r"""A process's bytes as text in whole lines.

A chunk of a pipe may end inside a character or a line; what is incomplete waits for the next chunk. `\n`, `\r\n` and a
lone `\r` end a line, so that a progress bar's every state is one. A line longer than a mebibyte comes in pieces.
"""

from __future__ import annotations

import codecs

LONGEST_LINE = 1024 * 1024


class LineAssembler:
    """The text of one stream. Invalid UTF-8 is replaced by U+FFFD, a character split by chunks never is."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._longest = longest
        self._pending = ""

    @property
    def pending(self) -> str:
        """The beginning of a line whose end has not come yet."""
        return self._pending

    def feed(self, data: bytes) -> str:
        """The lines that these bytes complete, with their line ends; often several, sometimes none."""
        new = self._decode(data)
        cut = max(new.rfind("\n"), new.rfind("\r")) + 1
        if not cut and len(self._pending) + len(new) <= self._longest:
            self._pending += new
            return ""
        if len(new) - cut > self._longest or not cut:
            cut = len(new)
        text, self._pending = self._pending + new[:cut], new[cut:]
        return text

    def finish(self) -> str:
        """What is left at the end: an unterminated last line, or nothing."""
        left, self._pending = self._pending + self._decode(b"", True), ""
        return left
