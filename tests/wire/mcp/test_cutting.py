"""Text that must fit: what stays of it, and what is said of the rest."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.wire.mcp.cutting import cut, plain, shares, size_of


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("", 10, ""),
        ("short\n", 10, "short\n"),
        (
            "".join(f"line {number}\n" for number in range(10)),
            40,
            "line 0\nline 1\nline 2\n[… 35 bytes, 5 lines, left out here …]\nline 8\nline 9\n",
        ),
        ("x" * 100, 10, "xxxxxx\n[… 90 bytes left out here …]\nxxxx"),
        ("é" * 50, 11, "ééé\n[… 90 bytes left out here …]\néé"),
    ],
)
def test_head_and_tail_stay(text: str, most: int, expected: str) -> None:
    assert cut(text, most).text == expected


@given(st.text(st.sampled_from("ab\né€😀"), max_size=300), st.integers(8, 200))
def test_nothing_is_shown_that_was_not_there_and_the_rest_is_counted(text: str, most: int) -> None:
    found = cut(text, most)
    if size_of(text) <= most:
        assert (found.text, found.left_out_bytes, found.left_out_lines) == (text, 0, 0)
        return
    head, said, tail = re.split(r"(\[… [^\]]* …\]\n)", found.text)
    assert str(found.left_out_bytes) in said
    assert text.endswith(tail)
    # The head's own line end may be the note's.
    assert text.startswith(head.removesuffix("\n"))
    assert size_of(head) + size_of(tail) <= most + 1
    missing = size_of(text) - size_of(tail) - size_of(head)
    assert found.left_out_bytes - missing in (0, 1)


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        ([], 10, []),
        ([3, 4], 10, [3, 4]),
        ([100, 100], 10, [5, 5]),
        ([2, 100], 10, [2, 8]),
        ([100, 2, 100], 10, [4, 2, 4]),
        ([0, 100, 0], 10, [0, 10, 0]),
    ],
)
def test_what_needs_less_leaves_the_rest(sizes: list[int], most: int, expected: list[int]) -> None:
    assert shares(sizes, most) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[0;31mred\x1b[0m", "red"),
        ("\x1b]8;;https://a.example\x1b\\link\x1b]8;;\x07", "link"),
        ("a\x1b[2K\x1bMb", "ab"),
    ],
)
def test_what_terminals_understand_is_left_out(text: str, expected: str) -> None:
    assert plain(text) == expected
