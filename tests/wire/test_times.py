"""Moments on the wire."""

from __future__ import annotations

import pytest

from execd.errors import InvalidRequest
from execd.wire.times import from_rfc3339, rfc3339


@pytest.mark.parametrize(
    ("given", "ms"),
    [("1970-01-01T00:00:01Z", 1000), ("1970-01-01T01:00:00.5+01:00", 500), ("2026-01-02T03:04:05.678Z", 1767323045678)],
)
def test_moments(given: str, ms: int) -> None:
    assert from_rfc3339(given, "at") == ms
    assert from_rfc3339(rfc3339(ms), "at") == ms


@pytest.mark.parametrize("given", ["", "soon", "1970-01-01T00:00:01", "1970-01-01", "x" * 1000])
def test_what_is_no_moment(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^at: expected a time"):
        from_rfc3339(given, "at")
