"""JSON Schemas: that one is one, and that a value fits it. Nothing that a schema names is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from execd.errors import InvalidRequest

_LONGEST = 300


def check_schema(schema: Mapping[str, Any], field: str) -> None:
    """Raise InvalidRequest unless this is a JSON Schema."""
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        raise InvalidRequest(f"expected a JSON Schema: {error.message[:_LONGEST]}", _place(field, error.path)) from None
    except RecursionError:
        raise InvalidRequest("expected a JSON Schema that is not nested this deep", field) from None


def check_fits(value: Any, schema: Mapping[str, Any], field: str) -> None:
    """Raise InvalidRequest, which names the first place that does not fit, unless the value fits the schema."""
    validator = validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())
    try:
        misfit = min(validator.iter_errors(value), key=lambda error: len(error.path), default=None)
    except Unresolvable as error:
        raise InvalidRequest(f"the schema refers to what it does not hold: {error.ref[:_LONGEST]}", field) from None
    except RecursionError:
        raise InvalidRequest("expected what its schema can be followed through", field) from None
    if misfit is not None:
        raise InvalidRequest(misfit.message[:_LONGEST], _place(field, misfit.absolute_path))


def encoded(value: Any) -> str:
    """JSON on one line, as short as it can be."""
    return json.dumps(value, separators=(",", ":"))


def _place(field: str, path: Any) -> str:
    return ".".join((field, *map(str, path)))
