"""Moments on the wire: RFC 3339, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from execd.errors import InvalidRequest


def rfc3339(ms: int) -> str:
    """Unix milliseconds as text."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(given: str, field: str) -> int:
    """Unix milliseconds. Raises InvalidRequest, also where no offset from UTC is given."""
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidRequest(f"expected a time as RFC 3339 has it, with its offset, got {given[:60]!r}", field)
    return round(moment.timestamp() * 1000)
