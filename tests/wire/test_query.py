"""Numbers in a query."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest
from execd.wire.query import page_limit, seconds, whole_number


@pytest.mark.parametrize(("given", "expected"), [("", 7), ("0", 0), ("42", 42), ("9" * 18, 10**18 - 1)])
def test_numbers(given: str, expected: int) -> None:
    assert whole_number("since", given, 7) == expected


@pytest.mark.parametrize("given", ["-1", "1.5", "x", " 1", "1" * 19, "٣"])
def test_others_are_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"since: expected a whole number"):
        whole_number("since", given, 0)


@pytest.mark.parametrize(("given", "expected"), [("", 7), ("0", 0), ("42", 42), ("1.5", 1.5), ("2.", 2)])
def test_times(given: str, expected: float) -> None:
    assert seconds("wait", given, 7) == expected


@pytest.mark.parametrize("given", ["-1", "x", "nan", "inf", "1e3", ".5", " 1", "1" * 19])
def test_other_times_are_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"wait: expected a number of seconds"):
        seconds("wait", given, 0)


@pytest.mark.parametrize(("given", "limit"), [("", 50), ("1", 1), ("1000", 1000)])
def test_limits(given: str, limit: int) -> None:
    assert page_limit(given, 50, 1000) == limit


@pytest.mark.parametrize("given", ["0", "1001", "-1", "x", "1.5"])
def test_other_limits_are_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^limit: "):
        page_limit(given, 50, 1000)
