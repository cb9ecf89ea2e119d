"""What an execution has printed, read without holding all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.wire.mcp.cutting import cut
from execd.wire.mcp.telling import HeadAndTail, Pager


@given(st.lists(st.text(st.sampled_from("ab\né"), max_size=40), max_size=40), st.integers(8, 30))
def test_head_and_tail_are_cut_as_the_whole_would_be(pieces: list[str], most: int) -> None:
    held, whole = HeadAndTail(most), "".join(pieces)
    for piece in pieces:
        held.append(piece)
    assert held.size == len(whole.encode())
    assert sum(len(piece.encode()) for piece in held) <= 9 * most + 160
    assert cut("".join(held), most, held.missing_bytes, held.missing_lines) == cut(whole, most)


def test_what_is_cleared_never_was() -> None:
    held = HeadAndTail(8)
    for _ in range(100):
        held.append("line\n")
    held.clear()
    held.append("new")
    assert (held, held.size, held.missing_bytes) == (["new"], 3, 0)


@pytest.mark.parametrize(
    ("first", "most", "text", "following"),
    [
        (1, 100, "one\ntwo\nthree\nfour", None),
        (3, 100, "three\nfour", None),
        (4, 100, "four", None),
        (5, 100, "", None),
        (1, 8, "one\ntwo\n", 3),
        (2, 4, "two\n", 3),
        (3, 5, "thr\n[… 1 bytes left out here …]\ne\n", 4),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_pages_of_lines(first: int, most: int, text: str, following: int | None, size: int) -> None:
    whole = "one\ntwo\nthree\nfour"
    pager = Pager(first, most)
    for start in range(0, len(whole), size):
        pager.feed(whole[start : start + size])
    found = pager.end()
    assert (found.text, found.following) == (text, following)


@given(st.lists(st.text("ab\n", max_size=9), max_size=20), st.integers(4, 12))
def test_all_pages_together_are_all(pieces: list[str], most: int) -> None:
    whole, found, first = "".join(pieces), "", 1
    if any(len(line) >= most for line in whole.split("\n")):
        return
    for _ in range(len(whole) + 1):
        pager = Pager(first, most)
        for piece in pieces:
            pager.feed(piece)
        page = pager.end()
        found += page.text
        if page.following is None:
            break
        first = page.following
    assert found == whole
