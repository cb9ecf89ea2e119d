"""Who may call: programs with the token, programs on this machine when there is none, and never a web page that was
not invited.

Open on loopback, any page in a browser on this machine could reach execd, directly or by a name that it lets resolve
to 127.0.0.1 (DNS rebinding). Hence the checks of Host and Origin. `admit` decides, and does no I/O.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN_HEADER = "X-EXECD-ACCESS-TOKEN"
TOKEN_MISSING = f"Unauthorized: invalid or missing header {TOKEN_HEADER}"

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[(?P<address>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(:[0-9]*)?")
_OPEN_PATHS = frozenset({"/ping"})


class Verdict(Enum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    NO_TOKEN = "no token"
    FOREIGN_HOST = "foreign host"
    FOREIGN_ORIGIN = "foreign origin"


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to admit. `token` None: every program that reaches us by one of `hosts` (loopback's names always may)."""

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    def admit(self, path: str, headers: Mapping[str, str]) -> Verdict:
        """The verdict on a request, by its path and its headers (names in lower case, values decoded as
        Latin-1)."""
        if self.token is not None:
            return self._admit_by_token(self.token, path, headers)
        host = headers.get("host", "")
        if host_name(host) not in _LOOPBACK_NAMES | self.hosts:
            return Verdict.FOREIGN_HOST
        return Verdict.ADMITTED if self._invited(host, headers) else Verdict.FOREIGN_ORIGIN

    def _admit_by_token(self, token: str, path: str, headers: Mapping[str, str]) -> Verdict:
        given = headers.get(TOKEN_HEADER.lower(), "")
        if path in _OPEN_PATHS or hmac.compare_digest(given.encode("latin-1"), token.encode()):
            return Verdict.ADMITTED
        return Verdict.NO_TOKEN

    def _invited(self, host: str, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return origin in self.origins or _authority(origin) == host
        # A page that only embeds us (an image, a script) sends no Origin, but browsers say where it came from.
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case; empty if the header is not of that form."""
    found = _HOST.fullmatch(host)
    return (found["address"] or found["name"] or "").lower().rstrip(".") if found else ""


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


_REFUSALS = {
    Verdict.FOREIGN_HOST: "this Host is not served without a token; EXECD_ALLOWED_HOSTS names more hosts",
    Verdict.FOREIGN_ORIGIN: "web pages of this origin may not call; EXECD_ALLOWED_ORIGINS names those that may",
}


def refusal(verdict: Verdict) -> Response:
    """The answer to a request that is not admitted."""
    if verdict is Verdict.NO_TOKEN:
        return JSONResponse({"error": TOKEN_MISSING}, 401)
    return JSONResponse({"code": "FORBIDDEN", "message": _REFUSALS[verdict]}, 403)


class Guard:
    """ASGI middleware that lets through what the policy admits, WebSockets included."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        verdict = self._policy.admit(scope["path"], Headers(scope=scope))
        if verdict is Verdict.ADMITTED:
            await self._app(scope, receive, send)
        else:
            # Starlette's responses speak WebSocket denial too.
            await refusal(verdict)(scope, receive, send)
