"""Values in a query string or a header."""

from __future__ import annotations

import re

from execd.errors import InvalidPort, InvalidRequest

_SECONDS = re.compile(r"[0-9]{1,18}(\.[0-9]{0,18})?")


def whole_number(name: str, given: str, default: int) -> int:
    """A number from 0 on, `default` when none is given. Raises InvalidRequest."""
    if not given:
        return default
    if not (given.isascii() and given.isdigit() and len(given) < 19):
        raise InvalidRequest(f"expected a whole number from 0 on, got {given[:40]!r}", name)
    return int(given)


def page_limit(given: str, default: int, most: int) -> int:
    """How many of a list, from 1 to `most`. Raises InvalidRequest."""
    limit = whole_number("limit", given, default)
    if not 1 <= limit <= most:
        raise InvalidRequest(f"expected a number from 1 to {most}, got {given[:40]!r}", "limit")
    return limit


def seconds(name: str, given: str, default: float) -> float:
    """A time from 0 on, fractions allowed, `default` when none is given. Raises InvalidRequest."""
    if not given:
        return default
    if not _SECONDS.fullmatch(given):
        raise InvalidRequest(f"expected a number of seconds from 0 on, got {given[:40]!r}", name)
    return float(given)


def port_number(given: str) -> int:
    """A TCP port. Raises InvalidPort."""
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= 65535):
        raise InvalidPort(given, "expected a number from 1 to 65535")
    return int(given)
