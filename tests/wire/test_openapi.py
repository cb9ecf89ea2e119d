"""The OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

import execd
from execd.app import OPERATIONS, PASSAGES
from execd.errors import ContextNotFound, InvalidRequest, MissingQuery
from execd.wire.execd.errors import EXECD_ERRORS, Code
from execd.wire.openapi import document, openapi_route
from execd.wire.operation import Answer, Operation, Parameter, Passage

DOCUMENT = document(OPERATIONS, PASSAGES)


async def endpoint(_request: Request) -> Response:
    raise AssertionError("only documented here")


class Thing(BaseModel):
    """A thing."""

    name: str


def documented(path: str = "/things", **given: Any) -> dict[str, Any]:
    """The document's entry for one operation."""
    answer = given.pop("answer", Answer("Done"))
    operation = Operation("GET", path, endpoint, "Do it", "things", EXECD_ERRORS, answer, **given)
    [methods] = document([operation])["paths"].values()
    entry: dict[str, Any] = methods["get"]
    return entry


def test_it_is_valid() -> None:
    validate(json.loads(json.dumps(DOCUMENT)), cls=OpenAPIV31SpecValidator)


def test_it_is_served() -> None:
    client = TestClient(Starlette(routes=[openapi_route(OPERATIONS, PASSAGES)]))
    assert client.get("/openapi.json").json() == json.loads(json.dumps(DOCUMENT))


def test_it_says_what_it_is_of() -> None:
    assert DOCUMENT["info"]["version"] == execd.__version__
    assert DOCUMENT["components"]["securitySchemes"]["token"]["name"] == "X-EXECD-ACCESS-TOKEN"


@pytest.mark.parametrize("passage", PASSAGES, ids=lambda passage: str(passage.path))
def test_every_passage_is_in_it_without_a_method(passage: Passage) -> None:
    entry = DOCUMENT["paths"][re.sub(r":\w+}", "}", passage.path)]
    assert set(entry) == {"summary", "description", "parameters"}
    named = {found["name"] for found in entry["parameters"]}
    assert named == {*re.findall(r"{(\w+)", passage.path), *(given.name for given in passage.parameters)}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_every_operation_is_in_it_with_all_that_it_takes(operation: Operation) -> None:
    path = re.sub(r":\w+}", "}", operation.path)
    entry = DOCUMENT["paths"][path][operation.method.lower()]
    parameters = {(found["in"], found["name"]) for found in entry.get("parameters", [])}
    assert {("path", name) for name in re.findall(r"{(\w+)}", path)} <= parameters
    assert {(given.place, given.name) for given in operation.parameters} <= parameters
    assert ("requestBody" in entry) is (operation.body is not None)
    statuses = {str(operation.dialect.rendering(error).status) for error in operation.errors}
    assert set(entry["responses"]) == {str(operation.answer.status), *statuses}


def test_nothing_else_is_in_it() -> None:
    passages = {re.sub(r":\w+}", "}", passage.path) for passage in PASSAGES}
    paths = {path: methods for path, methods in DOCUMENT["paths"].items() if path not in passages}
    entries = [entry for methods in paths.values() for entry in methods.values()]
    assert sorted(entry["operationId"] for entry in entries) == sorted(operation.name for operation in OPERATIONS)


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert names <= set(DOCUMENT["components"]["schemas"])


def test_every_error_code_is_in_it() -> None:
    text = json.dumps(DOCUMENT["components"]["schemas"])
    assert [code for code in Code if f'"{code}"' not in text] == []


def test_errors_of_one_status_stand_together() -> None:
    answers = documented(errors=(InvalidRequest, MissingQuery, ContextNotFound))["responses"]
    assert list(answers) == ["200", "400", "404"]
    assert answers["400"]["description"].split(" · ")[1] == "MISSING_QUERY: A query parameter is missing."
    assert answers["404"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/things", []),
        ("/things/{id}", ["id"]),
        ("/{kind}/x/{number:int}", ["kind", "number"]),
        ("/files/{path:path}", ["path"]),
    ],
)
def test_path_parameters(path: str, names: list[str]) -> None:
    assert [found["name"] for found in documented(path).get("parameters", [])] == names
    operation = Operation("GET", path, endpoint, "Do it", "things", EXECD_ERRORS, Answer("Done"))
    [shown] = document([operation])["paths"]
    assert re.findall(r"{([^}]*)}", shown) == names


def test_a_parameter_is_described() -> None:
    given = Parameter("Last-Event-ID", "Where to go on.", required=True, type="integer", place="header")
    assert documented(parameters=(given,))["parameters"] == [
        {
            "name": "Last-Event-ID",
            "in": "header",
            "required": True,
            "description": "Where to go on.",
            "schema": {"type": "integer"},
        }
    ]


THING = {"$ref": "#/components/schemas/Thing"}


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (Answer("It"), None),
        (Answer("It", model=Thing), {"application/json": {"schema": THING}}),
        (Answer("It", model=Thing, many=True), {"application/json": {"schema": {"type": "array", "items": THING}}}),
        (Answer("It", media_type="text/event-stream"), {"text/event-stream": {"schema": {"type": "string"}}}),
    ],
)
def test_answers(answer: Answer, content: dict[str, Any] | None) -> None:
    assert documented(answer=answer)["responses"]["200"].get("content") == content


@pytest.mark.parametrize("required", [True, False])
def test_a_body_may_be_optional(required: bool) -> None:
    assert documented(body=Thing, body_required=required)["requestBody"]["required"] is required


def test_headers_of_an_answer() -> None:
    shown = documented(headers={"X-Thing": "What it is."})["responses"]["200"]["headers"]
    assert shown == {"X-Thing": {"description": "What it is.", "schema": {"type": "string"}}}
