"""What was printed is passed on as it came, whole and in pieces, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.events import Stdout, encode
from execd.kernel.passing import passed_on

# Much of what is printed, and much of what is escaped.
printed = st.lists(st.sampled_from(["a", "\\", '"', "\n", "\x1b", "\x00", "\x7f", "u001b", "\\n", "\\\\"])).map("".join)


@given(printed, st.integers(6, 20))
def test_the_pieces_are_the_text_and_what_json_has_for_it(text: str, most: int) -> None:
    passed = passed_on(json.dumps({"name": "stderr", "text": text}).encode(), most)
    assert passed is not None
    assert passed.name == "stderr"
    assert "".join(piece for piece, _ in passed.pieces) == text
    assert all(0 < len(literal or b"") <= most for _, literal in passed.pieces)
    for piece, literal in passed.pieces:
        assert json.loads(encode(Stdout(piece, literal), 7, 8)) == json.loads(encode(Stdout(piece), 7, 8))


@given(st.text(st.characters(exclude_categories=())), st.booleans())
def test_any_text_is_passed_on_rightly_or_not_at_all(text: str, ascii_only: bool) -> None:
    frame = json.dumps({"name": "stdout", "text": text}, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    passed = passed_on(frame, 16)
    assert passed is None or "".join(piece for piece, _ in passed.pieces) == text


@pytest.mark.parametrize(
    "frame",
    [
        b'{"name":"stdout","text":"a","more":"b"}',
        b'{"name":"stdout","text":"a" ,"text":"b"}',
        b'{"text":"a","name":"stdout"}',
        b'{"name":"other","text":"a"}',
        b'{"name":"stdout","text":"a\\"}',
        b'{"name":"stdout","text":"a\n"}',
        b'{"name":"stdout","text":"\\q"}',
        b'{"name":"stdout","text":"',
        b'{"name":"stdout","text":"}',
        '{"name":"stdout","text":"\u2028"}'.encode(),
        b"",
    ],
)
def test_what_is_not_as_kernels_send_it_is_decoded(frame: bytes) -> None:
    assert passed_on(frame, 100) is None


def test_nothing_printed_is_nothing() -> None:
    passed = passed_on(b'{"name": "stdout", "text": ""}', 100)
    assert passed is not None
    assert passed.pieces == []
