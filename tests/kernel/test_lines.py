"""Bytes in, whole lines out, wherever the chunks of a pipe happen to end."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.kernel.lines import LineAssembler

# Few letters, so that line ends, broken characters and their halves meet often.
PIECES = [
    b"a",
    b"bc",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    "é".encode(),
    "\U0001f600".encode(),
    b"\xff",
    b"\xc3",
    b"\xf0\x9f",
]


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    """Some output, cut anywhere."""
    whole = draw(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def assembled(chunks: list[bytes]) -> list[str]:
    """The texts that an assembler gives for these chunks."""
    assembler = LineAssembler()
    texts = [assembler.feed(chunk) for chunk in chunks]
    return [text for text in [*texts, assembler.finish()] if text]


@given(chunked())
def test_nothing_is_added_or_lost_wherever_the_chunks_end(chunks: list[bytes]) -> None:
    assert "".join(assembled(chunks)) == b"".join(chunks).decode("utf-8", "replace")


@given(chunked())
def test_every_text_but_the_last_ends_a_line(chunks: list[bytes]) -> None:
    assert all(text.endswith(("\n", "\r")) for text in assembled(chunks)[:-1])


@given(chunked())
def test_what_is_pending_is_the_line_that_has_no_end_yet(chunks: list[bytes]) -> None:
    assembler = LineAssembler()
    for chunk in chunks:
        assembler.feed(chunk)
        assert not re.search("[\r\n]", assembler.pending)
    pending = assembler.pending
    assert assembler.finish().startswith(pending)
    assert assembler.pending == ""


def test_a_line_leaves_with_its_end_and_not_before() -> None:
    assembler = LineAssembler()
    assert [assembler.feed(chunk) for chunk in (b"a", b"b\nc\nd", b"", b"e\r", b"f")] == ["", "ab\nc\n", "", "de\r", ""]
    assert (assembler.pending, assembler.finish(), assembler.pending) == ("f", "f", "")


def test_a_character_that_never_became_whole_is_replaced_at_the_end() -> None:
    assembler = LineAssembler()
    assert assembler.feed("x🙂".encode()[:-1]) == ""
    assert assembler.pending == "x"
    assert assembler.finish() == "x\ufffd"


def test_it_can_go_on_after_the_end_as_a_new_stream() -> None:
    assembler = LineAssembler()
    assembler.feed(b"a\xc3")
    assembler.finish()
    assert assembler.feed(b"\xa9\n") == "\ufffd\n"


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=12))
def test_what_waits_is_never_longer_than_the_longest_line(chunks: list[tuple[int, bool]]) -> None:
    assembler = LineAssembler(20)
    output = [b"x" * size + (b"\n" if ended else b"") for size, ended in chunks]
    texts = []
    for chunk in output:
        texts.append(assembler.feed(chunk))
        assert len(assembler.pending) <= 20
    assert "".join([*texts, assembler.finish()]).encode() == b"".join(output)


@pytest.mark.parametrize("size", [19, 20])
def test_a_line_of_just_the_longest_length_stays_whole(size: int) -> None:
    assembler = LineAssembler(20)
    assert assembler.feed(b"x" * size) == ""
    assert assembler.feed(b"\n") == "x" * size + "\n"


def test_a_longer_line_comes_in_pieces() -> None:
    assembler = LineAssembler(20)
    assert assembler.feed(b"x" * 20) == ""
    assert assembler.feed(b"x") == "x" * 21
    assert assembler.feed(b"\nrest") == "\n"
    assert assembler.finish() == "rest"
