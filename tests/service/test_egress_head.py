"""Heads of requests to the proxy, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.service.egress_head import BadHead, Head, parse_head


def parse(*lines: str) -> Head:
    """Understand a head of these lines."""
    return parse_head("\r\n".join(lines).encode("latin-1"))


@pytest.mark.parametrize(
    ("target", "destination"),
    [
        ("a.example:443", "a.example:443"),
        ("A.Example.:443", "a.example:443"),
        ("1.2.3.4:80", "1.2.3.4:80"),
        ("[2600::1]:443", "[2600::1]:443"),
    ],
)
def test_a_tunnel(target: str, destination: str) -> None:
    head = parse(f"CONNECT {target} HTTP/1.1", "Host: elsewhere.example")
    assert head.tunnel
    assert str(head.destination) == destination


@pytest.mark.parametrize(
    ("target", "destination", "request_line", "host"),
    [
        ("http://a.example/b?c=d", "a.example:80", "GET /b?c=d HTTP/1.1", "a.example"),
        ("http://a.example:81/", "a.example:81", "GET / HTTP/1.1", "a.example:81"),
        ("HTTP://A.example", "a.example:80", "GET / HTTP/1.1", "A.example"),
        ("http://a.example?b", "a.example:80", "GET /?b HTTP/1.1", "a.example"),
        ("http://[2600::1]/", "[2600::1]:80", "GET / HTTP/1.1", "[2600::1]"),
        ("http://a.example/\xfc", "a.example:80", "GET /\xfc HTTP/1.1", "a.example"),
    ],
)
def test_a_request(target: str, destination: str, request_line: str, host: str) -> None:
    head = parse(f"GET {target} HTTP/1.1", "Host: elsewhere.example", "Accept: x")
    assert str(head.destination) == destination
    expected = [request_line, f"Host: {host}", "Accept: x", "Connection: close", "", ""]
    assert head.forwarded.decode("latin-1").split("\r\n") == expected


def test_what_is_between_client_and_proxy_stays_there() -> None:
    ours = ["Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: 5", "Upgrade: h2c", "Proxy-Connection: close"]
    head = parse("GET http://a.example/ HTTP/1.1", *ours, "Proxy-Authorization: Basic x", "X-Yours:\t2 ")
    assert head.forwarded == b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Yours: 2 \r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "a.example:443",
        "https://a.example/",
        "ftp://a.example/",
        "http://",
        "http:///x",
        "http://a@b.example/",
        "http://a.example:b/",
        "http://a.example:99999/",
        "http://[::1/",
        "http://127.1/",
        "http://a.example/#b",
        "http://a.example\\@b.example/",
        "http://a.example:80:81/",
        "http://a%2eexample/",
        "http://fe80::1%25eth0/",
    ],
)
def test_targets_that_are_refused(target: str) -> None:
    with pytest.raises(BadHead):
        parse(f"GET {target} HTTP/1.1", "Host: a.example")


@pytest.mark.parametrize(
    "target", ["a.example", "a.example:", "http://a.example:443", "a.example:443/", "@a.example:443"]
)
def test_tunnels_that_are_refused(target: str) -> None:
    with pytest.raises(BadHead):
        parse(f"CONNECT {target} HTTP/1.1")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET",
        "GET http://a.example/",
        "GET  http://a.example/ HTTP/1.1",
        "get http://a.example/ HTTP/1.1",
        "GET http://a.example/ HTTP/2.0",
        "GET http://a.example/ HTTP/1.1 ",
        " GET http://a.example/ HTTP/1.1",
        "GET http://a.example/\tx HTTP/1.1",
        "GET http://a.example/ HTTP/1.1\nX: y",
        "\x16\x03\x01\x02\x00\x01",
    ],
)
def test_request_lines_that_are_refused(line: str) -> None:
    with pytest.raises(BadHead):
        parse(line)


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 1", "Transfer-Encoding: chunked"],
        ["Content-Length: 1", "Content-Length: 1"],
        ["Content-Length: +1"],
        ["Content-Length: 1, 1"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding : chunked"],
        [" X: folded"],
        ["X: a", "\tfolded"],
        ["X"],
        [": x"],
        ["X: a\nY: b"],
        ["X: a\rY: b"],
        ["X: a\x00"],
        ["Xä: a"],
    ],
)
def test_headers_that_are_refused(headers: list[str]) -> None:
    with pytest.raises(BadHead):
        parse("POST http://a.example/ HTTP/1.1", *headers)


@given(st.binary(max_size=200))
def test_nothing_else_is_raised_and_nothing_is_let_through_that_holds_two_heads(data: bytes) -> None:
    try:
        head = parse_head(data)
    except BadHead:
        return
    assert head.forwarded.count(b"\r\n\r\n") == (not head.tunnel)
