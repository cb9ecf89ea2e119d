"""The same operations at several places: which sandbox a request enters, and what answers where nothing is."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from execd.errors import SandboxExpired, SandboxNotFound
from execd.wire.dialects import EXECD, dialect_of
from execd.wire.execd.errors import EXECD_ERRORS
from execd.wire.mounting import below, execd_mounts
from execd.wire.nullspace.errors import NULLSPACE
from execd.wire.opensandbox.errors import OPENSANDBOX
from execd.wire.operation import Answer, Operation
from execd.wire.state import sandbox_of


class Sandboxes:
    """Those with the ids that begin with sb_1, and default; sb_old has expired."""

    async def enter(self, sandbox_id: str) -> Any:
        if sandbox_id == "sb_old":
            raise SandboxExpired(sandbox_id, "its time was over")
        if sandbox_id not in ("default", "sb_1"):
            raise SandboxNotFound(sandbox_id)
        return sandbox_id


async def whose(request: Request) -> Response:
    """The sandbox that the request has entered."""
    return PlainTextResponse(f"{sandbox_of(request)} {request.path_params['thing']}")


WHOSE = Operation("GET", "/things/{thing}", whose, "Whose", "things", EXECD_ERRORS, Answer("It"), enters=True)


@pytest.fixture
def client() -> TestClient:
    """An application with the operation at its root and for each sandbox."""
    app = Starlette(routes=[*execd_mounts(["/v1/sandboxes", "/v1/machines"], [WHOSE], []), WHOSE.route()])
    found = TestClient(app)
    found.app_state["sandboxes"] = Sandboxes()
    return found


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/things/a", 200, "default a"),
        ("/v1/sandboxes/sb_1/proxy/44772/things/a%20b", 200, "sb_1 a b"),
        ("/v1/machines/mch_1/proxy/44772/things/a", 200, "sb_1 a"),
        ("/v1/machines/sb_1/proxy/44772/things/a", 200, "sb_1 a"),
        ("/v1/sandboxes/default/proxy/44772/things/a", 200, "default a"),
        ("/v1/sandboxes/sb_2/proxy/44772/things/a", 404, "SANDBOX_NOT_FOUND"),
        ("/v1/sandboxes/sb_old/proxy/44772/things/a", 410, "its time was over"),
        ("/v1/sandboxes/sb_1/proxy/44772/nothing", 404, "Not Found"),
        ("/v1/sandboxes/sb_1/proxy/44773/things/a", 404, "Not Found"),
    ],
)
def test_which_sandbox_a_request_enters(client: TestClient, path: str, status: int, said: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, said in answer.text) == (status, True)


def test_operations_below_a_prefix() -> None:
    [moved] = below("/prefix", [WHOSE], "_again")
    assert (moved.path, moved.name, moved.endpoint) == ("/prefix/things/{thing}", "whose_again", whose)


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/opensandbox", OPENSANDBOX),
        ("/opensandbox/v1/sandboxes", OPENSANDBOX),
        ("/opensandboxes", EXECD),
        ("/v1/sandboxes", NULLSPACE),
        ("/v1/machines/mch_1/files/read", NULLSPACE),
        ("/v1/sandboxes/sb_1/proxy/44772/ping", EXECD),
        ("/v1/sandboxes/sb_1/processes", NULLSPACE),
        ("/v1/sandboxesx", EXECD),
        ("/code", EXECD),
    ],
)
def test_which_api_a_path_belongs_to(path: str, dialect: object) -> None:
    app = Starlette()
    app.state.dialects = (OPENSANDBOX, NULLSPACE)
    assert dialect_of({"app": app, "path": path}) is dialect
