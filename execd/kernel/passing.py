"""What a kernel has printed, passed on as it came: already JSON, in ASCII, so that nobody has to make that again.

A frame is taken for that only where it looks like what kernels send and each of its pieces is a whole JSON string.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pydantic_core import from_json

_HEAD = re.compile(rb'\{"name": ?"(stdout|stderr)", ?"text": ?"')
_TAIL = b'"}'
_BACKSLASH = b"\\"
# `\uXXXX`
_LONGEST_ESCAPE = 6


class Printed(NamedTuple):
    """Text of one stream, in pieces: each as it is, and as JSON has it between quotes, where it came so."""

    name: str
    pieces: list[tuple[str, bytes | None]]


def passed_on(frame: bytes, most: int) -> Printed | None:
    """The content of a `stream` message, in pieces of at most `most` bytes; None where it must be decoded."""
    head = _HEAD.match(frame)
    if head is None or not frame.endswith(_TAIL, head.end()) or not frame.isascii():
        return None
    try:
        literals = _cut(frame[head.end() : -len(_TAIL)], most)
        return Printed(head[1].decode(), [(from_json(b'"%b"' % literal), literal) for literal in literals])
    except ValueError:
        return None


def _cut(literal: bytes, most: int) -> list[bytes]:
    if len(literal) <= most:
        return [literal] if literal else []
    pieces, start = [], 0
    while start < len(literal):
        end = start + most
        end = end - _begun(literal, start, end) if end < len(literal) else len(literal)
        pieces.append(literal[start:end])
        start = end
    return pieces


def _begun(literal: bytes, start: int, end: int) -> int:
    """How many bytes before `end` belong to an escape that goes on after it."""
    at = literal.rfind(_BACKSLASH, max(end - _LONGEST_ESCAPE + 1, start), end)
    if at < 0:
        return 0
    backslashes = at + 1 - len(literal[start : at + 1].rstrip(_BACKSLASH)) - start
    if backslashes % 2 == 0:
        return 0
    size = _LONGEST_ESCAPE if literal[at + 1 : at + 2] == b"u" else 2
    return end - at if at + size > end else 0
