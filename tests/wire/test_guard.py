"""Who may call."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from execd.app import create_app
from execd.errors import StoreUnusable
from execd.settings import Settings
from execd.wire.dialects import TOKEN_HEADER
from execd.wire.guard import Guard, Policy, Verdict, host_name

ADMITTED, NO_TOKEN = Verdict.ADMITTED, Verdict.NO_TOKEN
FOREIGN_HOST, FOREIGN_ORIGIN = Verdict.FOREIGN_HOST, Verdict.FOREIGN_ORIGIN
TOKEN = TOKEN_HEADER.lower()

LOCKED = Policy(token="secret")
OPEN = Policy(hosts=frozenset({"box.example"}), origins=frozenset({"https://app.example"}))


@pytest.mark.parametrize(
    ("path", "headers", "verdict"),
    [
        ("/code", {TOKEN: "secret"}, ADMITTED),
        ("/code", {TOKEN: "secret", "host": "anything.example", "origin": "https://evil.example"}, ADMITTED),
        ("/code", {}, NO_TOKEN),
        ("/code", {TOKEN: ""}, NO_TOKEN),
        ("/code", {TOKEN: "Secret"}, NO_TOKEN),
        ("/code", {TOKEN: "secret "}, NO_TOKEN),
        ("/code", {TOKEN: "secre"}, NO_TOKEN),
        ("/code", {TOKEN: "sécret"}, NO_TOKEN),
        ("/code", {"authorization": "Bearer secret"}, ADMITTED),
        ("/code", {"authorization": "bearer secret"}, ADMITTED),
        ("/code", {"authorization": "Bearer guess"}, NO_TOKEN),
        ("/code", {"authorization": "Basic secret"}, NO_TOKEN),
        ("/code", {"open-sandbox-api-key": "secret"}, ADMITTED),
        ("/code", {"x-api-key": "secret"}, ADMITTED),
        ("/code", {"x-api-key": "guess"}, NO_TOKEN),
        ("/code", {"open-sandbox-api-key": "guess", TOKEN: "secret"}, ADMITTED),
        ("/health", {}, ADMITTED),
        ("/ready", {}, ADMITTED),
        ("/ready/x", {}, NO_TOKEN),
        ("/v1/files/signed/x", {}, ADMITTED),
        ("/v1/files/signed/x/y", {}, NO_TOKEN),
        ("/v1/files/list", {}, NO_TOKEN),
        ("/v1/sandbox/execute", {}, NO_TOKEN),
        ("/opensandbox/v1/health", {}, ADMITTED),
        ("/opensandbox/v1/sandboxes", {}, NO_TOKEN),
        ("/ping", {}, ADMITTED),
        ("/ping", {TOKEN: "wrong"}, ADMITTED),
        ("/ping/", {}, NO_TOKEN),
        ("/pingx", {}, NO_TOKEN),
        ("//ping", {}, NO_TOKEN),
        ("/openapi.json", {}, NO_TOKEN),
    ],
)
def test_with_a_token(path: str, headers: dict[str, str], verdict: Verdict) -> None:
    assert LOCKED.admit(path, headers) is verdict


def test_a_token_may_have_any_characters() -> None:
    # Header values reach us decoded as Latin-1, whatever the client encoded them as.
    on_the_wire = "schlüssel".encode().decode("latin-1")
    assert Policy(token="schlüssel").admit("/code", {TOKEN: on_the_wire}) is ADMITTED


@pytest.mark.parametrize(
    ("host", "verdict"),
    [
        ("localhost", ADMITTED),
        ("localhost:44772", ADMITTED),
        ("LOCALHOST:44772", ADMITTED),
        ("localhost.", ADMITTED),
        ("localhost.:44772", ADMITTED),
        ("127.0.0.1:44772", ADMITTED),
        ("[::1]:44772", ADMITTED),
        ("[::1]", ADMITTED),
        ("box.example", ADMITTED),
        ("Box.Example:80", ADMITTED),
        ("", FOREIGN_HOST),
        (":44772", FOREIGN_HOST),
        ("evil.example", FOREIGN_HOST),
        ("localhost.evil.example", FOREIGN_HOST),
        ("127.0.0.1.evil.example:44772", FOREIGN_HOST),
        ("evil.example:127.0.0.1", FOREIGN_HOST),
        ("sub.box.example", FOREIGN_HOST),
        ("10.0.0.1:44772", FOREIGN_HOST),
        ("[::2]:44772", FOREIGN_HOST),
        ("[::1].evil.example", FOREIGN_HOST),
        ("[evil.example", FOREIGN_HOST),
        ("localhost@evil.example", FOREIGN_HOST),
        ("user@localhost", FOREIGN_HOST),
    ],
)
def test_without_a_token_the_host_must_be_ours(host: str, verdict: Verdict) -> None:
    assert OPEN.admit("/code", {"host": host}) is verdict


def test_a_request_without_a_host_is_foreign() -> None:
    assert OPEN.admit("/ping", {}) is FOREIGN_HOST


@pytest.mark.parametrize(
    ("headers", "verdict"),
    [
        ({}, ADMITTED),
        ({"origin": "http://localhost:44772"}, ADMITTED),
        ({"origin": "https://app.example"}, ADMITTED),
        ({"origin": "null"}, FOREIGN_ORIGIN),
        ({"origin": ""}, FOREIGN_ORIGIN),
        ({"origin": "https://evil.example"}, FOREIGN_ORIGIN),
        ({"origin": "http://app.example"}, FOREIGN_ORIGIN),
        ({"origin": "https://app.example:8443"}, FOREIGN_ORIGIN),
        ({"origin": "http://localhost:8080"}, FOREIGN_ORIGIN),
        ({"origin": "http://127.0.0.1:44772"}, FOREIGN_ORIGIN),
        ({"origin": "http://localhost:44772.evil.example"}, FOREIGN_ORIGIN),
        ({"origin": "http://["}, FOREIGN_ORIGIN),
        ({"origin": "localhost:44772"}, FOREIGN_ORIGIN),
        ({"origin": "http://localhost:44772", "sec-fetch-site": "same-origin"}, ADMITTED),
        ({"sec-fetch-site": "none"}, ADMITTED),
        ({"sec-fetch-site": "same-origin"}, ADMITTED),
        ({"sec-fetch-site": "same-site"}, FOREIGN_ORIGIN),
        ({"sec-fetch-site": "cross-site"}, FOREIGN_ORIGIN),
        ({"sec-fetch-site": "anything"}, FOREIGN_ORIGIN),
        ({"origin": "https://app.example", "sec-fetch-site": "cross-site"}, ADMITTED),
    ],
)
def test_without_a_token_a_page_must_be_invited(headers: dict[str, str], verdict: Verdict) -> None:
    assert OPEN.admit("/code", {"host": "localhost:44772", **headers}) is verdict


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("A.b:1", "a.b"),
        ("[::1]:2", "::1"),
        ("a.b.", "a.b"),
        ("", ""),
        ("[::1", ""),
        ("[::1]x", ""),
        ("a:b:1", ""),
        ("a", "a"),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


SOCKET = "ws://localhost/talk"


async def hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def guarded(policy: Policy) -> TestClient:
    routes = [Route("/code", hello), Route("/ping", hello), WebSocketRoute("/talk", talk)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Guard, policy=policy)]), "http://localhost")


@pytest.fixture(params=["locked", "open"])
def client(request: pytest.FixtureRequest) -> tuple[str, TestClient]:
    return request.param, guarded(LOCKED if request.param == "locked" else OPEN)


REFUSED: dict[str, tuple[dict[str, str], int, dict[str, str]]] = {
    "locked": ({}, 401, {"error": "Unauthorized: invalid or missing header X-EXECD-ACCESS-TOKEN"}),
    "open": (
        {"Origin": "https://evil.example"},
        403,
        {
            "code": "FORBIDDEN",
            "message": "web pages of this origin may not call; EXECD_ALLOWED_ORIGINS names those that may",
        },
    ),
}
GRANTED = {"locked": {TOKEN_HEADER: "secret"}, "open": {}}


def test_a_refused_request_gets_an_answer_and_goes_no_further(client: tuple[str, TestClient]) -> None:
    name, caller = client
    headers, status, body = REFUSED[name]
    answer = caller.get("/code", headers=headers)
    assert (answer.status_code, answer.json()) == (status, body)
    assert caller.get("/code", headers=GRANTED[name]).text == "hello"


def test_a_refused_web_socket_is_never_opened(client: tuple[str, TestClient]) -> None:
    name, caller = client
    headers, status, body = REFUSED[name]
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        caller.websocket_connect(SOCKET, headers=headers),
    ):
        raise AssertionError("it was opened")
    assert (refused.value.status_code, refused.value.json()) == (status, body)
    with caller.websocket_connect(SOCKET, headers=GRANTED[name]) as socket:
        assert socket.receive_text() == "hello"


def test_a_foreign_host_is_told_what_to_set() -> None:
    answer = guarded(OPEN).get("/code", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert "EXECD_ALLOWED_HOSTS" in answer.json()["message"]


class Unreadable:
    """A keyring whose store does not answer."""

    async def closed(self) -> bool:
        """Fail."""
        raise StoreUnusable("connection refused")

    async def find(self, text: str) -> None:
        """Fail too."""
        await self.closed()


@pytest.mark.parametrize(
    "path", ["/code", "/v1/sandboxes", "/api/v1/agents", "/v1/executions/x", "/opensandbox/v1/sandboxes", "/mcp"]
)
async def test_a_key_that_cannot_be_looked_up_is_no_wrong_key(path: str) -> None:
    app = create_app(Settings())
    sandboxes = SimpleNamespace(keyring=Unreadable())
    for headers in ({}, {"X-API-Key": "exd_something"}):

        async def asked(scope: Scope, receive: Receive, send: Send) -> None:
            await Guard(app, Policy())({**scope, "app": app, "state": {"sandboxes": sandboxes}}, receive, send)

        answer = TestClient(asked).get(path, headers=headers)
        assert answer.status_code == 503
        assert "connection refused" in answer.text
