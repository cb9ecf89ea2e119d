"""Whole numbers in a query."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest
from execd.wire.query import whole_number


@pytest.mark.parametrize(("given", "expected"), [("", 7), ("0", 0), ("42", 42), ("9" * 18, 10**18 - 1)])
def test_numbers(given: str, expected: int) -> None:
    assert whole_number("since", given, 7) == expected


@pytest.mark.parametrize("given", ["-1", "1.5", "x", " 1", "1" * 19, "٣"])
def test_others_are_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"since: expected a whole number"):
        whole_number("since", given, 0)
