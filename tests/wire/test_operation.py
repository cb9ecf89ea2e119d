"""An operation: its route, and what becomes of what its endpoint raises."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from execd.app import OPERATIONS
from execd.errors import ContextNotFound, InvalidRequest, LimitReached, QueueFull
from execd.wire.errors import ErrorTable, Rendering
from execd.wire.execd.errors import EXECD_ERRORS, RUN_ERRORS
from execd.wire.operation import Answer, Operation


def client_of(outcome: Exception | str, dialect: ErrorTable = EXECD_ERRORS) -> TestClient:
    """A client of an application whose one operation ends like this."""

    async def endpoint(request: Request) -> Response:
        if isinstance(outcome, Exception):
            raise outcome
        return PlainTextResponse(f"{outcome} {request.path_params['id']}")

    operation = Operation("POST", "/things/{id}", endpoint, "Do it", "things", dialect, Answer("Done"))
    return TestClient(Starlette(routes=[operation.route()]))


def test_it_serves_its_method_on_its_path() -> None:
    client = client_of("hello")
    assert client.post("/things/7").text == "hello 7"
    assert client.get("/things/7").status_code == 405
    assert client.post("/things").status_code == 404


@pytest.mark.parametrize(
    ("error", "dialect", "status", "code"),
    [
        (InvalidRequest("wrong", "code"), EXECD_ERRORS, 400, "INVALID_REQUEST_BODY"),
        (ContextNotFound("ctx_1"), EXECD_ERRORS, 404, "CONTEXT_NOT_FOUND"),
        (ContextNotFound("ctx_1"), RUN_ERRORS, 500, "RUNTIME_ERROR"),
        (QueueFull("ctx_1", 3), EXECD_ERRORS, 429, "LIMIT_REACHED"),
        (QueueFull("ctx_1", 3), EXECD_ERRORS.overridden({LimitReached: Rendering(503, "BUSY")}), 503, "BUSY"),
        (RuntimeError("a defect"), EXECD_ERRORS, 500, "UNKNOWN"),
    ],
)
def test_what_it_raises_is_rendered_by_its_dialect(
    error: Exception, dialect: ErrorTable, status: int, code: str
) -> None:
    answer = client_of(error, dialect).post("/things/7")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    shown = answer.json()["message"]
    assert shown == ("execd failed to serve this request; its log says why" if code == "UNKNOWN" else str(error))


def test_nobody_is_told_who_has_left() -> None:
    answer = client_of(ClientDisconnect()).post("/things/7")
    assert (answer.status_code, answer.content) == (499, b"")


def test_a_dialect_may_have_a_body_of_its_own() -> None:
    table = ErrorTable(EXECD_ERRORS.renderings, lambda rendering, message: {"detail": f"{rendering.code}: {message}"})
    assert client_of(InvalidRequest("wrong"), table).post("/things/7").json() == {
        "detail": "INVALID_REQUEST_BODY: wrong"
    }


def test_every_operation_has_a_route_a_name_and_a_summary_of_its_own() -> None:
    for found in (
        [(operation.method, operation.path) for operation in OPERATIONS],
        [operation.name for operation in OPERATIONS],
    ):
        assert len(set(found)) == len(found)
    for operation in OPERATIONS:
        assert operation.summary
        assert not operation.summary.endswith(".")
        assert operation.answer.description


def test_every_expected_error_has_a_rendering_that_is_one() -> None:
    for operation in OPERATIONS:
        for error in operation.errors:
            assert operation.dialect.rendering(error).status >= 400
