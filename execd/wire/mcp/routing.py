"""Who is to serve a request at /mcp, told by its headers and, where there is no session, by its message. Pure.

A request that belongs to a session goes there, `initialize` without one begins one, and everything else is complete in
itself: nothing of it outlives its answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

SESSION_HEADER = "mcp-session-id"
VERSION_HEADER = "mcp-protocol-version"

# From this revision on every request is complete in itself, and says so by this header.
_FIRST_WITHOUT_SESSIONS = "2026-07-28"
# What may be looked at to find a notification: they are short, and what is not is none.
_MOST_NOTIFICATION = 4096


class Served(Enum):
    """By whom."""

    IN_SESSION = auto()
    BY_ITSELF = auto()
    BY_ITSELF_AS_JSON = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """Who serves it. `begins`: it asks for a session; `cancels`: the request of that session which it calls off."""

    served: Served
    session_id: str | None = None
    begins: bool = False
    cancels: str | None = None


def route(method: str, headers: Mapping[str, str], body: bytes) -> Route:
    """The route of a request; header names are in lower case."""
    if headers.get(VERSION_HEADER, "") >= _FIRST_WITHOUT_SESSIONS:
        return Route(_by_itself(method, headers))
    session_id = headers.get(SESSION_HEADER)
    if session_id is not None:
        return Route(Served.IN_SESSION, session_id, cancels=_cancelled(body) if method == "POST" else None)
    served = _by_itself(method, headers)
    # Answers in sessions are streams: who cannot read them is told what there is, and goes on without one.
    if served is Served.BY_ITSELF and method == "POST" and _message(body).get("method") == "initialize":
        return Route(Served.IN_SESSION, begins=True)
    return Route(served)


def accepts(headers: Mapping[str, str]) -> str:
    """What a request takes for an answer: who says nothing takes JSON."""
    return headers.get("accept", "") or "application/json"


def _by_itself(method: str, headers: Mapping[str, str]) -> Served:
    # A client that does not ask for a stream, as curl does not, cannot read one.
    streams = method != "POST" or "text/event-stream" in accepts(headers).lower()
    return Served.BY_ITSELF if streams else Served.BY_ITSELF_AS_JSON


def _cancelled(body: bytes) -> str | None:
    if len(body) > _MOST_NOTIFICATION:
        return None
    message = _message(body)
    params = message.get("params")
    if message.get("method") != "notifications/cancelled" or not isinstance(params, dict):
        return None
    request_id = params.get("requestId")
    return None if request_id is None else str(request_id)


def _message(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
