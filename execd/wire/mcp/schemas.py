"""JSON schemas of arguments and answers, without what only costs a model's attention. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

Json = dict[str, Any]

# Keys below which names are given, not words of the schema language.
_NAMED = frozenset({"properties", "$defs"})


def schema_of(model: type[BaseModel]) -> Json:
    """The schema of a model: no titles, and what may be null may as well be left out. The model itself takes null."""
    return {**_slim(model.model_json_schema()), "type": "object"}


def _slim(schema: Mapping[str, Any]) -> Json:
    found: Json = {}
    for key, value in schema.items():
        if key == "title" or (key == "default" and value is None) or (key == "description" and "properties" in schema):
            continue
        if key in _NAMED:
            found[key] = {name: _slim(below) for name, below in value.items()}
        elif key == "anyOf":
            found |= _without_null([_slim(each) for each in value])
        else:
            found[key] = _slim(value) if isinstance(value, dict) else value
    return found


def _without_null(choices: list[Json]) -> Json:
    left = [choice for choice in choices if choice != {"type": "null"}]
    return left[0] if len(left) == 1 else {"anyOf": left}
