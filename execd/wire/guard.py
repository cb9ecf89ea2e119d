"""Who may call: programs with the token or a key, programs on this machine when there is neither, and never a web page
that was not invited.

Open on loopback, any page in a browser on this machine could reach execd, directly or by a name that it lets resolve
to 127.0.0.1 (DNS rebinding). Hence the checks of Host and Origin. `admit` decides, and does no I/O.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from execd.errors import ExecdError
from execd.service.caller import Caller, calling
from execd.service.keyring import Keyring
from execd.wire.dialects import TOKEN_HEADER, Dialect, dialect_of

API_KEY_HEADER = "OPEN-SANDBOX-API-KEY"
COMMON_KEY_HEADER = "X-API-Key"

PEER = "execd.peer"
"""Where in a scope the connection's address is, when headers have changed what `client` says of it."""

_KEY_HEADERS = (TOKEN_HEADER.lower(), API_KEY_HEADER.lower(), COMMON_KEY_HEADER.lower())

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[(?P<address>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(:[0-9]*)?")
# Whether the service is up is no secret; a signed path is its own key.
_OPEN_PATHS = re.compile(
    r"/ping|/health|/ready|/opensandbox(/v1)?/health|/v1/signed/(artifacts/)?[^/]+|/v1/files/signed/[^/]+"
)
_BEARER = "bearer "


class Verdict(Enum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    NO_TOKEN = "no token"
    TOO_MANY = "too many wrong keys"
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
        if _OPEN_PATHS.fullmatch(path) or any(_same(given, token) for given in credentials(headers)):
            return Verdict.ADMITTED
        return Verdict.NO_TOKEN

    def _invited(self, host: str, headers: Mapping[str, str]) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return origin in self.origins or _authority(origin) == host
        # A page that only embeds us (an image, a script) sends no Origin, but browsers say where it came from.
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def credentials(headers: Mapping[str, str]) -> list[str]:
    """What a request gives for a token, in any of the ways that the dialects have for it."""
    given = (*(headers.get(name) for name in _KEY_HEADERS), _bearer(headers.get("authorization", "")))
    return [value for value in given if value is not None]


def _bearer(authorization: str) -> str | None:
    return authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else None


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1"), token.encode())


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


def refusal(verdict: Verdict, dialect: Dialect, given: bool = False, patience: float = 0) -> Response:
    """The answer to a request that is not admitted; `given` is whether it came with any token, and `patience` for how
    many seconds no more are to come."""
    if verdict is Verdict.TOO_MANY:
        seconds = math.ceil(patience)
        said = f"too many wrong keys have come from this address; try again in {seconds} s, or with a good one at once"
        return dialect.answer(429, said, {"Retry-After": str(seconds)})
    if verdict is Verdict.NO_TOKEN:
        return JSONResponse(dialect.unauthorized(given), 401, {"WWW-Authenticate": "Bearer"})
    return dialect.answer(403, _REFUSALS[verdict])


def _keep_key(scope: Scope, key: bytes) -> None:
    # These are handed on to programs behind a port, for what is in them may be theirs; ours goes no further than here.
    scope["headers"] = [(name, value) for name, value in scope["headers"] if not _carries(name, value, key)]


def _carries(name: bytes, value: bytes, key: bytes) -> bool:
    if name == b"authorization":
        bearer = _bearer(value.decode("latin-1"))
        return bearer is not None and bearer.encode("latin-1") == key
    return name == COMMON_KEY_HEADER.lower().encode() and value == key


@dataclass(frozen=True, slots=True)
class Judgement:
    """What becomes of a request, and who asks; `key` is what it was admitted by, and `patience` for how many seconds
    nothing more is to be heard from its address."""

    verdict: Verdict
    caller: Caller | None = None
    key: bytes | None = None
    patience: float = 0


class Guard:
    """ASGI middleware that lets through what the policy or the keyring admits, WebSockets included, and says who it is
    that asks."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            judged = await self._judge(scope, headers)
        except ExecdError as error:
            await dialect_of(scope).answer(503, str(error))(scope, receive, send)
            return
        if judged.verdict is not Verdict.ADMITTED:
            # Starlette's responses speak WebSocket denial too.
            given = bool(credentials(headers))
            await refusal(judged.verdict, dialect_of(scope), given, judged.patience)(scope, receive, send)
            return
        if judged.key is not None:
            _keep_key(scope, judged.key)
        scope.setdefault("state", {})["key"] = None if judged.caller is None else judged.key
        with calling(judged.caller):
            await self._app(scope, receive, send)

    async def _judge(self, scope: Scope, headers: Headers) -> Judgement:
        keyring = _keyring(scope)
        path, token = scope["path"], self._policy.token
        free = _OPEN_PATHS.fullmatch(path) is not None
        if token is None and keyring is not None and not free:
            # Before it is known that there are keys, for whom made the first one a moment ago.
            found = await _holder(keyring, headers)
            if found is not None:
                return found
        if token is not None or keyring is None or not await keyring.closed():
            verdict = self._policy.admit(path, headers)
            if verdict is not Verdict.NO_TOKEN:
                operator = None if keyring is None or (free and token is not None) else keyring.operator
                return Judgement(verdict, operator, None if token is None else token.encode())
        elif free:
            return Judgement(Verdict.ADMITTED)
        return Judgement(Verdict.NO_TOKEN) if keyring is None else await _by_key(keyring, headers, _address(scope))


async def _by_key(keyring: Keyring, headers: Headers, address: str) -> Judgement:
    found = await _holder(keyring, headers)
    if found is not None:
        return found
    patience = keyring.attempts.wrong(address) if any(credentials(headers)) else None
    return Judgement(Verdict.NO_TOKEN) if patience is None else Judgement(Verdict.TOO_MANY, patience=patience)


async def _holder(keyring: Keyring, headers: Headers) -> Judgement | None:
    for key in filter(None, credentials(headers)):
        found = await keyring.find(key)
        if found is not None:
            return Judgement(Verdict.ADMITTED, found, key.encode("latin-1"))
    return None


def _keyring(scope: Scope) -> Keyring | None:
    sandboxes = scope.get("state", {}).get("sandboxes")
    keyring: Keyring | None = getattr(sandboxes, "keyring", None)
    return keyring


def _address(scope: Scope) -> str:
    # The socket's: what a header says of it anybody could say.
    client = scope.get(PEER) or scope.get("client")
    return str(client[0]) if client else ""
