"""Who serves a request at /mcp."""

from __future__ import annotations

import json
from typing import Any

import pytest

from execd.wire.mcp.routing import Route, Served, route

BOTH = {"accept": "application/json, text/event-stream"}
SESSION = {"mcp-session-id": "s1"}
MODERN = {"mcp-protocol-version": "2026-07-28"}


def message(method: str, **params: Any) -> bytes:
    """One, encoded."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


@pytest.mark.parametrize(
    ("method", "headers", "body", "expected"),
    [
        ("POST", {}, message("tools/list"), Route(Served.BY_ITSELF_AS_JSON)),
        ("POST", {"accept": "*/*"}, message("tools/list"), Route(Served.BY_ITSELF_AS_JSON)),
        ("POST", BOTH, message("tools/list"), Route(Served.BY_ITSELF)),
        ("POST", {"accept": "TEXT/Event-Stream"}, message("tools/list"), Route(Served.BY_ITSELF)),
        ("POST", BOTH, message("initialize"), Route(Served.IN_SESSION, begins=True)),
        ("POST", {}, message("initialize"), Route(Served.BY_ITSELF_AS_JSON)),
        ("POST", {**BOTH, **SESSION}, message("tools/list"), Route(Served.IN_SESSION, "s1")),
        ("POST", {**BOTH, **SESSION}, message("initialize"), Route(Served.IN_SESSION, "s1")),
        ("POST", {**BOTH, **MODERN}, message("server/discover"), Route(Served.BY_ITSELF)),
        ("POST", {**BOTH, **MODERN, **SESSION}, message("tools/list"), Route(Served.BY_ITSELF)),
        ("POST", {**BOTH, "mcp-protocol-version": "2025-11-25"}, message("tools/list"), Route(Served.BY_ITSELF)),
        ("GET", BOTH, b"", Route(Served.BY_ITSELF)),
        ("GET", SESSION, b"", Route(Served.IN_SESSION, "s1")),
        ("DELETE", SESSION, b"", Route(Served.IN_SESSION, "s1")),
        ("DELETE", {}, b"", Route(Served.BY_ITSELF)),
        ("POST", BOTH, b"{", Route(Served.BY_ITSELF)),
        ("POST", BOTH, b"[" * 100_000, Route(Served.BY_ITSELF)),
        ("POST", BOTH, b"[1]", Route(Served.BY_ITSELF)),
        (
            "POST",
            SESSION,
            message("notifications/cancelled", requestId=3),
            Route(Served.IN_SESSION, "s1", cancels="3"),
        ),
        ("POST", SESSION, message("notifications/cancelled"), Route(Served.IN_SESSION, "s1")),
        ("POST", SESSION, b'{"method": "notifications/cancelled", "params": 1}', Route(Served.IN_SESSION, "s1")),
        ("POST", BOTH, message("notifications/cancelled", requestId=3), Route(Served.BY_ITSELF)),
    ],
)
def test_routes(method: str, headers: dict[str, str], body: bytes, expected: Route) -> None:
    assert route(method, headers, body) == expected
