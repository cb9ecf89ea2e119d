"""The head of a request to the proxy: where it goes, and what of it goes on. Pure.

Anything that two programs could read in two ways is refused here, so that the next one has nothing to guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from execd.service.egress_policy import BadHost, Destination, split_port

END = b"\r\n\r\n"

_REQUEST = re.compile(r"([A-Z]{1,32}) ([^\x00-\x20\x7f]+) (HTTP/1\.[01])\Z")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\Z")
_URI = re.compile(r"http://([^/?#@]+)((?:[/?][^#]*)?)\Z", re.IGNORECASE)

# Between a client and this proxy only (RFC 9110, 7.6.1); Host is written anew.
_OURS = {"connection", "host", "keep-alive", "proxy-authorization", "proxy-connection", "upgrade"}


class BadHead(Exception):
    """This is no request that can be handed on; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the head asks for: a tunnel to the destination, or a request, `forwarded` being its head as it goes on."""

    destination: Destination
    forwarded: bytes = b""

    @property
    def tunnel(self) -> bool:
        """Whether everything behind the head is the client's and the destination's affair."""
        return not self.forwarded


def parse_head(head: bytes) -> Head:
    """Understand a head, without the empty line at its end. Raises BadHead."""
    request, *lines = head.decode("latin-1").split("\r\n")
    found = _REQUEST.match(request)
    if not found:
        raise BadHead("expected a request line of HTTP/1.1")
    method, target, version = found.groups()
    headers = [_header(line) for line in lines]
    if method == "CONNECT":
        return Head(_destination(target, None))
    uri = _URI.match(target)
    if not uri:
        raise BadHead("this is a proxy: expected CONNECT host:port, or a target that starts with http://")
    _check_framing(headers)
    authority, path = uri.groups()
    return Head(_destination(authority, "80"), _forwarded(f"{method} {_path(path)} {version}", authority, headers))


def _header(line: str) -> tuple[str, str]:
    found = _HEADER.match(line)
    if not found:
        raise BadHead("expected each header as name: value, on one line")
    return found[1], found[2]


def _destination(authority: str, default: str | None) -> Destination:
    try:
        host, port = split_port(authority)
        return Destination.parse(host, port or default or "")
    except BadHost as error:
        raise BadHead(str(error)) from error


def _check_framing(headers: list[tuple[str, str]]) -> None:
    """Refuse a body whose end is a matter of opinion, which is what request smuggling lives on."""
    framing = [(name.lower(), value) for name, value in headers]
    lengths = [value for name, value in framing if name == "content-length"]
    encodings = [value for name, value in framing if name == "transfer-encoding"]
    if len(lengths) + len(encodings) > 1:
        raise BadHead("expected one Content-Length or one Transfer-Encoding")
    if any(not (value.isascii() and value.isdigit()) for value in lengths):
        raise BadHead("expected Content-Length to be a number")
    if any(value.lower() != "chunked" for value in encodings):
        raise BadHead("expected Transfer-Encoding to be chunked")


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _forwarded(request: str, authority: str, headers: list[tuple[str, str]]) -> bytes:
    """The head for the destination. It is told to close, because the client's next request may be for another."""
    connection = ",".join(value for name, value in headers if name.lower() == "connection").lower()
    dropped = _OURS | {name.strip() for name in connection.split(",")}
    kept = [f"{name}: {value}" for name, value in headers if name.lower() not in dropped]
    return "\r\n".join([request, f"Host: {authority}", *kept, "Connection: close", "", ""]).encode("latin-1")
