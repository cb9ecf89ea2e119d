"""Values in a query string or a header."""

from __future__ import annotations

from execd.errors import InvalidRequest


def whole_number(name: str, given: str, default: int) -> int:
    """A number from 0 on, `default` when none is given. Raises InvalidRequest."""
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise InvalidRequest(f"expected a whole number from 0 on, got {given[:40]!r}", name)
    return int(given)
