"""Windows of lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.service.lines import LineWindow

TEXTS = st.text("ab\r\n", max_size=40).map(str.encode)
CUTS = st.lists(st.integers(0, 40), max_size=6)


def whole(text: bytes, offset: int, limit: int | None) -> bytes:
    """The window as one would cut it out of a text in memory."""
    lines = text.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    plain = [line.removesuffix(b"\r") for line in lines]
    return b"\n".join(plain[offset - 1 :][:limit])


def piecewise(text: bytes, cuts: list[int], window: LineWindow) -> bytes:
    """The window, cut out of the text piece by piece."""
    bounds = [0, *sorted(cuts), len(text)]
    pieces = [text[first:last] for first, last in pairwise(bounds)]
    return b"".join(window.feed(piece) for piece in pieces)


@given(TEXTS, CUTS, st.integers(1, 8), st.none() | st.integers(1, 8))
def test_a_window_is_the_same_however_the_text_comes(
    text: bytes, cuts: list[int], offset: int, limit: int | None
) -> None:
    assert piecewise(text, cuts, LineWindow(offset, limit)) == whole(text, offset, limit)


@pytest.mark.parametrize(
    ("text", "offset", "limit", "lines"),
    [
        (b"a\nb\nc\n", 1, None, b"a\nb\nc"),
        (b"a\r\nb\r\n", 1, None, b"a\nb"),
        (b"a\nb\nc", 2, 1, b"b"),
        (b"a\nb", 3, None, b""),
        (b"", 1, 5, b""),
        (b"\n\n", 1, None, b"\n"),
        (b"a\rb\r", 1, None, b"a\rb"),
    ],
)
def test_windows(text: bytes, offset: int, limit: int | None, lines: bytes) -> None:
    assert LineWindow(offset, limit).feed(text) == lines


def test_a_full_window_is_done() -> None:
    window = LineWindow(1, 2)
    assert window.feed(b"a\n") == b"a"
    before = window.done
    assert window.feed(b"b\nc") == b"\nb"
    assert (before, window.done) == (False, True)
    assert window.feed(b"d\n") == b""
