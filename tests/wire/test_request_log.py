"""Request ids and the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from structlog.testing import LogCapture

from execd.service.meters import Meters
from execd.wire.fallbacks import FALLBACKS
from execd.wire.request_log import REQUEST_ID_HEADER, RequestLog, request_id


@pytest.mark.parametrize("given", ["a", "req-1", "~!@#", "x" * 128])
def test_an_acceptable_id_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", ["", " ", "a b", "a\n", "é", "x" * 129, "a\r\nSet-Cookie: x", "\x7f"])
def test_any_other_is_replaced(given: str) -> None:
    assert request_id(given).startswith("req_")


async def hello(_request: Request) -> Response:
    structlog.get_logger().info("inside")
    return PlainTextResponse("hello")


async def broken(_request: Request) -> Response:
    raise RuntimeError("a defect")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


async def deny(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("no", 404))


class Breaking:
    """Middleware with a defect, below the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/breaks-before":
            raise RuntimeError("a defect")
        await self._app(scope, receive, send)


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route("/hello", hello),
        Route("/ping", hello),
        Route("/broken", broken),
        WebSocketRoute("/talk", talk),
        WebSocketRoute("/deny", deny),
    ]
    middleware = [Middleware(RequestLog, meters=Meters()), Middleware(Breaking)]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=FALLBACKS)
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def log() -> Iterator[list[Any]]:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    yield capture.entries
    structlog.configure(**before)


@pytest.mark.parametrize(
    ("path", "status"), [("/hello", 200), ("/nothing", 404), ("/broken", 500), ("/breaks-before", 500)]
)
def test_every_answer_carries_the_id(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path, headers={REQUEST_ID_HEADER: "mine"})
    assert (answer.status_code, answer.headers[REQUEST_ID_HEADER]) == (status, "mine")
    assert client.get(path).headers[REQUEST_ID_HEADER].startswith("req_")


def test_every_answer_that_is_no_success_has_a_code(client: TestClient) -> None:
    codes = [client.request(*what).json()["code"] for what in [("GET", "/no"), ("PUT", "/hello"), ("GET", "/broken")]]
    assert codes == ["NOT_FOUND", "METHOD_NOT_ALLOWED", "UNKNOWN"]
    assert "GET" in client.put("/hello").json()["message"]


def test_every_line_of_a_request_has_its_id(client: TestClient, log: list[Any]) -> None:
    client.get("/hello", headers={REQUEST_ID_HEADER: "mine"})
    assert [(line["event"], line["request_id"]) for line in log] == [("inside", "mine"), ("request", "mine")]
    ended = log[-1]
    assert (ended["method"], ended["path"], ended["status"], ended["log_level"]) == ("GET", "/hello", 200, "info")
    assert ended["ms"] >= 0


@pytest.mark.parametrize("path", ["/broken", "/breaks-before"])
def test_a_defect_is_logged_with_the_id_and_its_status(client: TestClient, log: list[Any], path: str) -> None:
    client.get(path, headers={REQUEST_ID_HEADER: "mine"})
    lines = {line["event"]: line for line in log}
    assert (lines["request_broke"]["request_id"], lines["request"]["status"]) == ("mine", 500)
    assert isinstance(lines["request_broke"]["exc_info"], RuntimeError)


def test_pings_are_only_for_debugging(client: TestClient, log: list[Any]) -> None:
    client.get("/ping")
    assert log[-1]["log_level"] == "debug"


def test_nothing_stays_bound_afterwards(client: TestClient, log: list[Any]) -> None:
    client.get("/hello")
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_web_sockets_carry_the_id(client: TestClient) -> None:
    with client.websocket_connect("/talk", headers={REQUEST_ID_HEADER: "mine"}) as session:
        headers: Any = session.extra_headers
        assert (b"x-request-id", b"mine") in headers
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/deny"):
        pass
    assert refused.value.headers[REQUEST_ID_HEADER].startswith("req_")
