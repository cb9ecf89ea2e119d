"""What a gateway changes in a message that it hands on (RFC 9110, section 7.6). Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit, urlunsplit

from execd.wire.dialects import TOKEN_HEADER

Headers = list[tuple[str, str]]

# They are between two neighbours, and say nothing to the one after the next.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What opens execd, and what opens the servers in front of it, is no program's business.
CREDENTIALS = frozenset({TOKEN_HEADER.lower(), "open-sandbox-api-key"})

_FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"})
_REQUEST_DROPPED = HOP_BY_HOP | CREDENTIALS | _FORWARDED | {"host", "expect"}
# The server in front writes its own Date.
_RESPONSE_DROPPED = HOP_BY_HOP | {"date", "service-worker-allowed"}
_HANDSHAKE_DROPPED = "sec-websocket-"
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0")
_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class Route:
    """Where the client sees the port: at `prefix` (no slash at its end) of `host`, by `scheme` (http or https)."""

    scheme: str
    host: str
    prefix: str
    port: int
    client: str

    @property
    def authority(self) -> str:
        """What the program is called by."""
        return f"127.0.0.1:{self.port}"


def request_headers(headers: Iterable[tuple[str, str]], route: Route) -> Headers:
    """The headers that the program gets. Names are compared without regard to case."""
    given = list(headers)
    dropped = _REQUEST_DROPPED | _connection_options(given)
    kept = [(name, _own_origin(name, value, route)) for name, value in given if name.lower() not in dropped]
    return [*kept, *_forwarded(given, route)]


def handshake_headers(headers: Iterable[tuple[str, str]], route: Route) -> Headers:
    """The same for a WebSocket handshake, which the two connections each do for themselves."""
    return [pair for pair in request_headers(headers, route) if not pair[0].lower().startswith(_HANDSHAKE_DROPPED)]


def response_headers(headers: Iterable[tuple[str, str]], route: Route) -> Headers:
    """The headers that the client gets."""
    given = list(headers)
    dropped = _RESPONSE_DROPPED | _connection_options(given)
    return [(name, _located(name, value, route)) for name, value in given if name.lower() not in dropped]


def location(given: str, route: Route) -> str:
    """A redirect to the same program, so that it stays below the prefix; any other as it is."""
    try:
        parts = urlsplit(given)
        inside = _is_inside(parts, route)
    except ValueError:
        return given
    if not inside or (not parts.netloc and not parts.path.startswith("/")):
        return given
    path = parts.path or "/"
    below = path if path == route.prefix or path.startswith(f"{route.prefix}/") else route.prefix + path
    return urlunsplit(("", "", below, parts.query, parts.fragment))


def _is_inside(parts: SplitResult, route: Route) -> bool:
    if not parts.netloc:
        return not parts.scheme
    if parts.scheme not in ("", "http", "https"):
        return False
    return parts.netloc == route.host or (parts.hostname in _LOOPBACK and (parts.port or _HTTP_PORT) == route.port)


def _located(name: str, value: str, route: Route) -> str:
    return location(value, route) if name.lower() in ("location", "content-location") else value


def _own_origin(name: str, value: str, route: Route) -> str:
    """A page that came through here is of the program's own origin, as the program knows itself."""
    if name.lower() == "origin" and urlsplit(value).netloc == route.host:
        return f"http://{route.authority}"
    return value


def _forwarded(given: Headers, route: Route) -> Headers:
    before = {name.lower(): value for name, value in given if name.lower() in _FORWARDED}
    chain = [hop.strip() for hop in before.get("x-forwarded-for", "").split(",") if hop.strip()]
    # The server in front believes a gateway on this machine, and tells us the client that it has named.
    chain = chain if route.client in chain else [*chain, route.client]
    return [
        ("X-Forwarded-For", ", ".join(chain)),
        ("X-Forwarded-Proto", before.get("x-forwarded-proto", route.scheme)),
        ("X-Forwarded-Host", before.get("x-forwarded-host", route.host)),
        ("X-Forwarded-Prefix", route.prefix),
    ]


def _connection_options(headers: Headers) -> frozenset[str]:
    values = (value for name, value in headers if name.lower() == "connection")
    return frozenset(option.strip().lower() for value in values for option in value.split(","))
