"""Which generation of PromptRails' clients asks. Both use the same paths; what is said otherwise is one status."""

from __future__ import annotations

import re

from starlette.requests import Request

_CLIENT = re.compile(r"promptrails-(?P<name>[a-z]+)/(?P<major>\d{1,4})\.(?P<minor>\d{1,4})")
_FIRST = {"python": (0, 9), "go": (0, 7), "cli": (0, 6)}


def is_newer(user_agent: str) -> bool:
    """Whether a client is of the generation that says `waiting_approval`; all that are not known are of the other,
    which the vendor's documents describe."""
    found = _CLIENT.search(user_agent)
    if found is None or found["name"] not in _FIRST:
        return False
    return (int(found["major"]), int(found["minor"])) >= _FIRST[found["name"]]


def newer_of(request: Request) -> bool:
    """Whether this request comes from such a client."""
    return is_newer(request.headers.get("user-agent", ""))
