"""A passage: its routes, and what becomes of a WebSocket that is refused."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from execd.errors import InvalidRequest, TerminalInUse
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.operation import Passage


async def talk(websocket: WebSocket) -> None:
    """Refuse some, answer others."""
    match websocket.path_params["id"]:
        case "busy":
            raise TerminalInUse("busy")
        case "wrong":
            raise InvalidRequest("expected a number", "since")
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


def client_of(passage: Passage) -> TestClient:
    """A client of an application that serves only this."""
    return TestClient(Starlette(routes=passage.routes()))


def test_a_websocket_is_served() -> None:
    client = client_of(Passage("/talk/{id}", "Talk", "Talk", EXECD_ERRORS, talk))
    with client.websocket_connect("/talk/1") as socket:
        assert socket.receive_text() == "hello"
    assert client.get("/talk/1").status_code == 404


@pytest.mark.parametrize(
    ("name", "status", "code"), [("busy", 409, "ALREADY_CONNECTED"), ("wrong", 400, "INVALID_REQUEST_BODY")]
)
def test_a_refused_websocket_is_answered_in_the_dialects_form(name: str, status: int, code: str) -> None:
    client = client_of(Passage("/talk/{id}", "Talk", "Talk", EXECD_ERRORS, talk))
    with pytest.raises(WebSocketDenialResponse) as caught, client.websocket_connect(f"/talk/{name}"):
        pass
    assert (caught.value.status_code, caught.value.json()["code"]) == (status, code)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND"])
def test_requests_of_any_method_are_handed_on(method: str) -> None:
    passage = Passage("/talk/{id}", "Talk", "Talk", EXECD_ERRORS, talk, http=PlainTextResponse("handed on"))
    assert client_of(passage).request(method, "/talk/1").text == "handed on"


def test_its_name_is_its_endpoints() -> None:
    assert Passage("/talk", "Talk", "Talk", EXECD_ERRORS, talk).name == "talk"
