"""Cursors: what they stand for, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidRequest
from execd.wire.cursor import decode_cursor, encode_cursor


@given(st.integers(0, 10**18 - 1))
def test_they_come_back(number: int) -> None:
    cursor = encode_cursor(number)
    assert not set(cursor) & set("+/=&? ")
    assert decode_cursor(cursor) == number


def test_none_is_none() -> None:
    assert decode_cursor("") is None


@pytest.mark.parametrize("given", ["?", "x", "=", "MQ==", "MDE", "LTE", "\xe9", "M Q", "M", "OTk" * 10])
def test_others_are_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^cursor: "):
        decode_cursor(given)
