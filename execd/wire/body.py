"""JSON bodies: read within a bound, decoded as the contract says, checked by a pydantic model.

Only the first JSON value of a body counts, unknown fields are ignored, and what is wrong is said with the field's
name and what was expected there.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel, ValidationError
from starlette.requests import Request

from execd.errors import BodyTooLarge, InvalidRequest, WrongContentType

Model = TypeVar("Model", bound=BaseModel)

_decoder = json.JSONDecoder()
# Python refuses to read much longer ones.
_LONGEST_NUMBER = 18


async def read_model(request: Request, model: type[Model], limit: int) -> Model:
    """The request's body as `model`. Raises InvalidRequest in its several kinds."""
    check_json_type(request.headers.get("content-type", ""))
    return parse_model(await read_bytes(request, limit), model)


def check_json_type(content_type: str) -> None:
    """Raise WrongContentType unless it is application/json or a +json type."""
    essence = content_type.partition(";")[0].strip().lower()
    if essence != "application/json" and not (essence.startswith("application/") and essence.endswith("+json")):
        raise WrongContentType(essence)


async def read_bytes(request: Request, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be longer than `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > _LONGEST_NUMBER or int(declared) > limit):
        raise BodyTooLarge(limit)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def parse_model(raw: bytes, model: type[Model]) -> Model:
    """The first JSON value in `raw` as `model`. Raises InvalidRequest."""
    value = _first_value(raw)
    if not isinstance(value, dict) and not issubclass(model, RootModel):
        raise InvalidRequest(f"expected a JSON object, got {_json_name(value)}", "body")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> InvalidRequest:
    """The first thing that is wrong, with the name of its field."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    expectation = _expectation(first["type"], first["msg"])
    if first["type"] == "missing" or (first["type"] == "value_error" and not field):
        # What is wrong is not what was given here.
        return InvalidRequest(expectation, field or "body")
    return InvalidRequest(f"{expectation}, got {_json_name(first['input'])}", field or "body")


def _first_value(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8").lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"expected JSON in UTF-8, byte {error.start} is not", "body") from error
    if not text:
        raise InvalidRequest("expected a JSON object, got nothing", "body")
    try:
        value, _ = _decoder.raw_decode(text)
    except RecursionError as error:
        raise InvalidRequest("expected JSON that is not nested this deep", "body") from error
    except ValueError as error:
        raise InvalidRequest(f"expected JSON: {error}", "body") from error
    return value


def _expectation(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "this field is missing"
        case "string_too_short":
            return "expected a string that is not empty"
        case "model_type" | "dict_type":
            return "expected an object"
    said = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return said if said.startswith("expected") else f"expected {said[:1].lower()}{said[1:]}"


def _json_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return f"the number {value!r:.40}"
        case str():
            return f"the string {value[:40]!r}"
        case dict():
            return "an object"
        case _:
            return "an array"
