"""GET /openapi.json: the OpenAPI 3.1 document, made from the operations and from the pydantic models they name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import execd
from execd.wire.dialects import TOKEN_HEADER
from execd.wire.execd.schemas import ErrorBody
from execd.wire.operation import Operation, Parameter, Passage

Json = dict[str, Any]

_REF = "#/components/schemas/{model}"
_PATH_PARAMETER_OPEN = "{"


def document(operations: Sequence[Operation], passages: Sequence[Passage] = ()) -> Json:
    """The document for these operations and passages."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "execd", "version": execd.__version__, "description": execd.__doc__},
        "paths": _paths(operations) | {_plain_path(passage.path): _passage(passage) for passage in passages},
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
        },
        "security": [{}, {"token": []}],
    }


def openapi_route(operations: Sequence[Operation], passages: Sequence[Passage] = ()) -> Route:
    """The route that serves the document."""
    ready = document(operations, passages)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(ready)

    return Route("/openapi.json", openapi, methods=["GET"])


def _paths(operations: Iterable[Operation]) -> Json:
    paths: Json = {}
    for operation in operations:
        paths.setdefault(_plain_path(operation.path), {})[operation.method.lower()] = _operation(operation)
    return paths


def _passage(passage: Passage) -> Json:
    parameters = [*_path_parameters(passage.path), *(_parameter(given) for given in passage.parameters)]
    return {"summary": passage.summary, "description": passage.description, "parameters": parameters}


def _operation(operation: Operation) -> Json:
    shown: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {str(operation.answer.status): _success(operation), **_failures(operation)},
    }
    parameters = [*_path_parameters(operation.path), *(_parameter(given) for given in operation.parameters)]
    if parameters:
        shown["parameters"] = parameters
    if operation.body is not None:
        content = {operation.body_type: {"schema": _ref(operation.body)}}
        shown["requestBody"] = {"required": operation.body_required, "content": content}
    return shown


def _success(operation: Operation) -> Json:
    answer = operation.answer
    shown: Json = {"description": answer.description}
    if operation.headers:
        shown["headers"] = {name: _header(text) for name, text in operation.headers.items()}
    if answer.model is not None:
        schema = _ref(answer.model)
        shown["content"] = _json_content({"type": "array", "items": schema} if answer.many else schema)
    elif answer.media_type != "application/json":
        shown["content"] = {answer.media_type: {"schema": {"type": "string"}}}
    return shown


def _failures(operation: Operation) -> Json:
    by_status: dict[int, list[str]] = {}
    for error in operation.errors:
        rendering = operation.dialect.rendering(error)
        summary = (error.__doc__ or "").partition("\n")[0]
        by_status.setdefault(rendering.status, []).append(f"{rendering.code}: {summary}")
    content = _json_content(_ref(operation.dialect.model or ErrorBody))
    return {
        str(status): {"description": " · ".join(dict.fromkeys(texts)), "content": content}
        for status, texts in sorted(by_status.items())
    }


def _header(text: str) -> Json:
    return {"description": text, "schema": {"type": "string"}}


def _parameter(given: Parameter) -> Json:
    return {
        "name": given.name,
        "in": given.place,
        "required": given.required,
        "description": given.description,
        "schema": {"type": given.type},
    }


def _path_parameters(path: str) -> list[Json]:
    names = [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith(_PATH_PARAMETER_OPEN)]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _plain_path(path: str) -> str:
    return "/".join(
        part.partition(":")[0] + "}" if part.startswith(_PATH_PARAMETER_OPEN) and ":" in part else part
        for part in path.split("/")
    )


def _json_content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": _REF.format(model=model.__name__)}


def _schemas(operations: Iterable[Operation]) -> Json:
    wanted: dict[type[BaseModel], JsonSchemaMode] = {ErrorBody: "serialization"}
    for operation in operations:
        if operation.dialect.model is not None:
            wanted[operation.dialect.model] = "serialization"
        if operation.body is not None:
            wanted[operation.body] = "validation"
        if operation.answer.model is not None:
            wanted[operation.answer.model] = "serialization"
    _, definitions = models_json_schema(list(wanted.items()), ref_template=_REF)
    schemas: Json = definitions["$defs"]
    return schemas
