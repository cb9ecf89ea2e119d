r"""A process's bytes as text in whole lines.

A chunk of a pipe may end inside a character or a line; what is incomplete waits for the next chunk. `\n`, `\r\n` and a
lone `\r` end a line, so that a progress bar's every state is one. A line longer than a mebibyte comes in pieces.
"""

from __future__ import annotations

import codecs
import re

LONGEST_LINE = 1024 * 1024

_LINE_END = re.compile(r"\r\n|\r|\n")


class LineAssembler:
    """The text of one stream. Invalid UTF-8 is replaced by U+FFFD, a character split by chunks never is."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pending = ""

    @property
    def pending(self) -> str:
        """The beginning of a line whose end has not come yet."""
        return self._pending

    def feed(self, data: bytes) -> str:
        """The lines that these bytes complete, with their line ends; often several, sometimes none."""
        text = self._pending + self._decode(data)
        cut = max(text.rfind("\n"), text.rfind("\r")) + 1
        if len(text) - cut > LONGEST_LINE:
            cut = len(text)
        self._pending = text[cut:]
        return text[:cut]

    def finish(self) -> str:
        """What is left at the end: an unterminated last line, or nothing."""
        left, self._pending = self._pending + self._decode(b"", True), ""
        return left


def split_lines(text: str, after_return: bool) -> list[str]:
    r"""The lines of the text without their ends; an empty line is there as `"\n"`, as clients of commands expect.

    With `after_return` the text follows one that ended in `\r`: a leading `\n` belongs to that line's end.
    """
    if after_return and text.startswith("\n"):
        text = text[1:]
    if not text:
        return []
    lines = _LINE_END.split(text)
    if not lines[-1]:
        del lines[-1]
    return [line or "\n" for line in lines]
