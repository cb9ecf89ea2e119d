"""Text that must not be longer than so many bytes: head and tail stay, and a line says what is missing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEAD = 0.6
# Colours and cursor movements (ECMA-48): for terminals, and noise to a model.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class Cut:
    """Text that fits, and how much of it was left out: whole lines, and bytes of UTF-8."""

    text: str
    left_out_bytes: int = 0
    left_out_lines: int = 0


def plain(text: str) -> str:
    """The same without what only a terminal understands."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def size_of(text: str) -> int:
    """Bytes of UTF-8; what cannot be encoded counts as it is sent."""
    return len(text.encode("utf-8", "replace"))


def cut(text: str, most: int, missing_bytes: int = 0, missing_lines: int = 0) -> Cut:
    """The text, or its head and tail of `most` bytes together, at the ends of lines where there are any near enough.
    What is missing already is so in the middle, and there is more than `most` on both sides of it."""
    raw = text.encode("utf-8", "replace")
    if len(raw) + missing_bytes <= most:
        return Cut(text)
    head = _head(raw, round(most * _HEAD))
    tail = _tail(raw, most - round(most * _HEAD))
    middle = raw[len(head) : len(raw) - len(tail)]
    missing_bytes += len(middle)
    lines = missing_lines + middle.count(b"\n")
    said = f"[… {missing_bytes} bytes{f', {lines} lines,' if lines else ''} left out here …]"
    shown = b"\n".join([head.removesuffix(b"\n"), said.encode(), tail])
    return Cut(shown.decode("utf-8", "replace"), missing_bytes, lines)


def shares(sizes: Sequence[int], most: int) -> list[int]:
    """How many bytes each of several texts may have of `most` together: what needs less leaves the rest to the others,
    evenly."""
    given = [0] * len(sizes)
    left, waiting = most, sorted(range(len(sizes)), key=lambda place: sizes[place])
    for count, place in enumerate(waiting):
        given[place] = min(sizes[place], left // (len(waiting) - count))
        left -= given[place]
    return given


def _head(raw: bytes, most: int) -> bytes:
    end = raw.rfind(b"\n", most // 2, most) + 1
    return raw[:end] if end else _whole_characters(raw[:most])


def _tail(raw: bytes, most: int) -> bytes:
    start = len(raw) - most
    # The text may end with a line end, which begins no line.
    found = raw.find(b"\n", start - 1, len(raw) - max(most // 2, 1))
    if found >= 0:
        return raw[found + 1 :]
    while start < len(raw) and raw[start] & 0xC0 == 0x80:
        start += 1
    return raw[start:]


def _whole_characters(raw: bytes) -> bytes:
    return raw.decode("utf-8", "ignore").encode()
