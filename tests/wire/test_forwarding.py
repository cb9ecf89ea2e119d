"""What a gateway changes in the headers of a message."""

from __future__ import annotations

import pytest

from execd.wire.forwarding import Route, handshake_headers, location, request_headers, response_headers

ROUTE = Route("http", "execd.test:44772", "/proxy/8000", 8000, "192.0.2.7")
FORWARDED = [
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "execd.test:44772"),
    ("X-Forwarded-Prefix", "/proxy/8000"),
]


def test_a_request_keeps_its_headers_in_their_order() -> None:
    given = [("accept", "*/*"), ("cookie", "a=1"), ("authorization", "Bearer x"), ("cookie", "b=2")]
    assert request_headers(given, ROUTE) == [*given, *FORWARDED]


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Host",
        "Expect",
        "X-EXECD-ACCESS-TOKEN",
        "x-execd-access-token",
        "OPEN-SANDBOX-API-KEY",
    ],
)
def test_what_is_not_for_the_program_does_not_reach_it(name: str) -> None:
    assert request_headers([(name, "secret")], ROUTE) == FORWARDED


def test_headers_that_connection_names_end_here() -> None:
    given = [("Connection", "close, X-One"), ("connection", "x-two"), ("X-One", "1"), ("X-Two", "2"), ("X-Three", "3")]
    assert request_headers(given, ROUTE) == [("X-Three", "3"), *FORWARDED]
    assert response_headers(given, ROUTE) == [("X-Three", "3")]


def test_a_gateway_in_front_of_us_is_named_first() -> None:
    before = [
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.test"),
        ("x-forwarded-prefix", "/somewhere"),
    ]
    assert request_headers(before, ROUTE) == [
        ("X-Forwarded-For", "198.51.100.1, 192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.test"),
        ("X-Forwarded-Prefix", "/proxy/8000"),
    ]


def test_a_client_that_was_named_already_is_not_named_twice() -> None:
    given = [("X-Forwarded-For", "192.0.2.7,198.51.100.1")]
    assert request_headers(given, ROUTE)[0] == ("X-Forwarded-For", "192.0.2.7, 198.51.100.1")


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://execd.test:44772", "http://127.0.0.1:8000"),
        ("https://elsewhere.test", "https://elsewhere.test"),
        ("null", "null"),
    ],
)
def test_a_page_that_came_through_here_is_of_the_programs_origin(origin: str, expected: str) -> None:
    assert request_headers([("Origin", origin)], ROUTE)[0] == ("Origin", expected)


def test_a_handshake_is_done_anew_on_each_side() -> None:
    given = [("Sec-WebSocket-Key", "k"), ("sec-websocket-protocol", "p"), ("Upgrade", "websocket"), ("Cookie", "a=1")]
    assert handshake_headers(given, ROUTE) == [("Cookie", "a=1"), *FORWARDED]


def test_an_answer_keeps_its_headers_and_loses_what_is_not_the_clients() -> None:
    given = [
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Content-Encoding", "gzip"),
        ("Transfer-Encoding", "chunked"),
        ("Date", "yesterday"),
        ("Service-Worker-Allowed", "/"),
    ]
    assert response_headers(given, ROUTE) == given[:4]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/", "/proxy/8000/"),
        ("/login?next=%2F#top", "/proxy/8000/login?next=%2F#top"),
        ("login", "login"),
        ("?page=2", "?page=2"),
        ("../up", "../up"),
        ("", ""),
        ("http://127.0.0.1:8000/a", "/proxy/8000/a"),
        ("http://localhost:8000/a", "/proxy/8000/a"),
        ("http://localhost:8000", "/proxy/8000/"),
        ("http://[::1]:8000/a", "/proxy/8000/a"),
        ("//127.0.0.1:8000/a", "/proxy/8000/a"),
        ("http://execd.test:44772/a", "/proxy/8000/a"),
        ("https://execd.test:44772/a", "/proxy/8000/a"),
        ("/proxy/8000/a", "/proxy/8000/a"),
        ("/proxy/8000", "/proxy/8000"),
        ("/proxy/80001/a", "/proxy/8000/proxy/80001/a"),
        ("http://127.0.0.1:9000/a", "http://127.0.0.1:9000/a"),
        ("http://localhost/a", "http://localhost/a"),
        ("https://elsewhere.test/a", "https://elsewhere.test/a"),
        ("//elsewhere.test/a", "//elsewhere.test/a"),
        ("mailto:a@elsewhere.test", "mailto:a@elsewhere.test"),
        ("ftp://127.0.0.1:8000/a", "ftp://127.0.0.1:8000/a"),
        ("http://[broken", "http://[broken"),
        ("http://127.0.0.1:port/a", "http://127.0.0.1:port/a"),
    ],
)
def test_a_redirect_stays_below_the_prefix(given: str, expected: str) -> None:
    assert location(given, ROUTE) == expected
    assert response_headers([("Location", given)], ROUTE) == [("Location", expected)]


def test_port_80_needs_no_number() -> None:
    assert location("http://localhost/a", Route("http", "h", "/proxy/80", 80, "c")) == "/proxy/80/a"
