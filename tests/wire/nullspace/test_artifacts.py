"""What a list of artifacts is asked with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidRequest
from execd.wire.nullspace import artifacts


@given(st.integers(0, 10**18 - 1))
def test_a_cursor_leads_on(number: int) -> None:
    cursor = artifacts._cursor(number)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&? ")
    assert artifacts._before(cursor) == number


@pytest.mark.parametrize("cursor", [None, ""])
def test_no_cursor_is_the_first_page(cursor: str | None) -> None:
    assert artifacts._before(cursor) is None


@pytest.mark.parametrize("cursor", ["x", "é", "LTE", "MS41", "!!!!", "A" * 1000])
def test_what_is_no_cursor(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="next_cursor"):
        artifacts._before(cursor)


@pytest.mark.parametrize(("given", "limit"), [("", 50), ("1", 1), ("1000", 1000)])
def test_limits(given: str, limit: int) -> None:
    assert artifacts._limit(given) == limit


@pytest.mark.parametrize("given", ["0", "1001", "-1", "x", "1.5"])
def test_what_is_no_limit(given: str) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        artifacts._limit(given)


@pytest.mark.parametrize("given", ["Image", "", "png"])
def test_what_is_no_kind(given: str) -> None:
    with pytest.raises(InvalidRequest, match="kind"):
        artifacts._kind(given)
    assert artifacts._kind("image") == "image"
    assert artifacts._kind(None) is None
