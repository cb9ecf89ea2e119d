"""What a request to /proxy/{port}/… asks for, and how it is refused: the same for HTTP and WebSocket."""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from execd.errors import ExecdError, InvalidPort
from execd.service.proxy import Proxy, Target
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.forwarding import Headers, Route

_SCHEMES = {"ws": "http", "wss": "https"}


def target_of(connection: HTTPConnection, proxy: Proxy) -> Target:
    """Where the request goes. Its path is the one that the client wrote: %2F stays %2F. Raises InvalidPort."""
    scope = connection.scope
    given = str(connection.path_params["port"])
    slashes = _prefix(connection).count("/") + 1
    parts = bytes(scope["raw_path"]).split(b"/", slashes)
    if len(parts) <= slashes or b"%2f" in b"/".join(parts[:-1]).lower():
        raise InvalidPort(given, "expected /proxy/{port}/, with its slashes as they are")
    return Target(proxy.port(given), "/" + _printable(parts[-1]), _printable(scope["query_string"]))


def route_of(connection: HTTPConnection, target: Target) -> Route:
    """Where the client sees the program: below the prefix of a gateway in front of us too, if that names it."""
    scheme = str(connection.scope["scheme"])
    outer = connection.headers.get("x-forwarded-prefix", "").rstrip("/")
    outer = outer if outer.startswith("/") and not outer.startswith("//") else ""
    return Route(
        scheme=_SCHEMES.get(scheme, scheme),
        host=connection.headers.get("host", ""),
        prefix=outer + _prefix(connection),
        port=target.port,
        client=connection.client.host if connection.client else "unknown",
    )


def refusal(error: ExecdError) -> Response:
    """The answer to what cannot be handed on: the program's clients expect no JSON of ours."""
    return PlainTextResponse(f"{error}\n", EXECD_ERRORS.rendering(type(error)).status)


def raw(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _prefix(connection: HTTPConnection) -> str:
    path, below = str(connection.scope["path"]), str(connection.path_params["path"])
    return path[: len(path) - len(below) - 1]


def _printable(given: bytes) -> str:
    return "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in given)
