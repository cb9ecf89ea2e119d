"""The tools' JSON schemas: what a model reads of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from execd.wire.mcp.arguments import RunCode
from execd.wire.mcp.catalog import TOOLS, Tool
from execd.wire.mcp.schemas import schema_of
from execd.wire.mcp.structured import RunShown


def keys_in(schema: Any) -> set[str]:
    """All keys of the schema language in it."""
    if isinstance(schema, list):
        return {key for each in schema for key in keys_in(each)}
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key, value in schema.items():
        below = value.values() if key in ("properties", "$defs") else [value]
        found |= {each for part in below for each in keys_in(part)}
    return found


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_they_are_schemas_without_what_says_nothing(tool: Tool) -> None:
    for model in (tool.takes, tool.answers):
        schema = schema_of(model)
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
        assert "title" not in keys_in(schema)
        assert '"null"' not in json.dumps(schema)
    for name, field in schema_of(tool.takes)["properties"].items():
        assert "description" in field, name


def test_arguments_that_are_not_known_are_none() -> None:
    schema = schema_of(RunCode)
    assert schema["required"] == ["code"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["timeout"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "Seconds after which it is stopped.",
    }
    assert RunCode.model_validate({"code": "1", "timeout": None}).timeout is None


def test_answers_fit_their_schemas() -> None:
    shown = RunShown(
        text="",
        execution_id="run_1",
        sandbox="default",
        status="running",
        finished=False,
        language="python",
        duration_ms=0,
        output_uri="execd://executions/run_1/output",
    )
    Draft202012Validator(schema_of(RunShown)).validate(shown.model_dump(mode="json", exclude_none=True))
