"""Cursors: where a page of a list ended, as a text that clients only hand back."""

from __future__ import annotations

import base64
import binascii

from execd.errors import InvalidRequest

_LONGEST = 18


def next_cursor(before: int | None) -> str | None:
    """The cursor of the page that follows, None where none does."""
    return None if before is None else encode_cursor(before)


def encode_cursor(before: int) -> str:
    """The cursor of the page that begins before this number."""
    return base64.urlsafe_b64encode(b"%d" % before).decode().rstrip("=")


def decode_cursor(given: str, name: str = "cursor") -> int | None:
    """The number that a cursor stands for, None for no cursor. Raises InvalidRequest for what `encode_cursor` has not
    made."""
    if not given:
        return None
    try:
        found = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not (found.isdigit() and len(found) <= _LONGEST and encode_cursor(int(found)) == given):
        raise InvalidRequest("expected the cursor of an earlier page, as it was given", name)
    return int(found)
