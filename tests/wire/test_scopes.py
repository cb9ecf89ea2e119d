"""Which scope each route wants: a key without it is refused by every one, in the form of the API concerned."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import Message, Scope
from starlette.websockets import WebSocket

from execd.app import OPERATIONS, PASSAGES, create_app
from execd.errors import ScopeMissing
from execd.service.caller import EVERYTHING, Caller, calling
from execd.service.caller import Scope as KeyScope
from execd.settings import Settings
from execd.wire.errors import ErrorTable
from execd.wire.operation import Operation, Passage, Scoped

CHANGES_SANDBOXES = ("/sandboxes", "/fork", "/egress", "/policy", "/timeout", "/renew-expiration", "/metadata")


def all_routes(routes: list[Any]) -> list[Any]:
    """Those that serve something, those below others among them."""
    return [found for route in routes for found in (all_routes(route.routes) if isinstance(route, Mount) else [route])]


def a_scope(kind: str, method: str = "GET") -> Scope:
    return {
        "type": kind,
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": [],
        "path_params": {},
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


async def receive() -> Message:
    return {"type": "websocket.connect"}


def lacking(needed: KeyScope) -> Caller:
    """A key that is good for everything else."""
    return Caller("tnt_1", EVERYTHING - {needed})


def assert_refused(status: int, body: bytes, needed: KeyScope, dialect: ErrorTable) -> None:
    assert status == 403
    assert json.loads(body) == json.loads(bytes(dialect.response(ScopeMissing(needed.value)).body))
    assert f"the scope '{needed}'" in body.decode()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: f"{found.method} {found.path}")
async def test_an_operation_refuses_a_key_without_its_scope(operation: Operation) -> None:
    with calling(lacking(operation.needs)):
        answer = await operation.handle(Request(a_scope("http", operation.method)))
    assert_refused(answer.status_code, bytes(answer.body), operation.needs, operation.dialect)


PASSED = [(found, kind) for found in PASSAGES for kind in ("websocket", "http") if kind == "websocket" or found.http]


@pytest.mark.parametrize(("passage", "kind"), PASSED, ids=lambda found: getattr(found, "path", found))
async def test_a_passage_refuses_a_key_that_may_not_run_code(passage: Passage, kind: str) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = a_scope(kind)
    with calling(lacking(KeyScope.RUN)):
        if kind == "websocket":
            await passage.handle(WebSocket(scope, receive, send))
        elif passage.http is not None:
            await Scoped(passage.http, passage.dialect)(scope, receive, send)
    assert_refused(sent[0]["status"], sent[1]["body"], KeyScope.RUN, passage.dialect)


def test_there_is_no_route_that_asks_for_no_scope() -> None:
    for route in all_routes(create_app(Settings()).routes):
        served = route.endpoint if isinstance(route, Route | WebSocketRoute) else None
        asks = isinstance(getattr(served, "__self__", None), Operation | Passage) or isinstance(served, Scoped)
        assert asks or route.path == "/openapi.json", route.path


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: f"{found.method} {found.path}")
def test_what_changes_sandboxes_is_for_keys_that_manage_them(operation: Operation) -> None:
    path = operation.path
    changes = path.endswith(CHANGES_SANDBOXES) or (path.endswith("{sandbox_id}") and operation.method != "GET")
    if path.startswith("/v1/webhooks"):
        # What is in their URLs, and what they are sent, may be secret.
        assert operation.needs is KeyScope.MANAGE
    elif operation.method == "GET":
        assert operation.needs is KeyScope.READ
    elif changes:
        assert operation.needs is KeyScope.MANAGE
