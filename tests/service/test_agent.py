"""What versions of agents may be, and what their interpreters are asked to run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from execd.errors import InvalidRequest
from execd.kernel.request import ExecuteRequest
from execd.service.agent import AgentConfig
from execd.service.schema import check_fits, check_schema
from tests.kernel.fake_kernel import SPEC

BASH = replace(SPEC, language="bash", engine="bash", prelude=Path("/prelude"))


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (AgentConfig(code="1"), None),
        (AgentConfig(entry="a.py", sandbox_id="default"), None),
        (AgentConfig(), "exactly one of code and entry"),
        (AgentConfig(code="1", entry="a.py", sandbox_id="default"), "exactly one of code and entry"),
        (AgentConfig(entry="a.py"), "the sandbox that the entry file is in"),
        (AgentConfig(code="1", sandbox_id="default", memory=1), "has its own"),
        (AgentConfig(code="{{ a }}", template=True), None),
        (AgentConfig(entry="a.py", sandbox_id="default", template=True), "is run as it is"),
    ],
)
def test_what_can_be_run(config: AgentConfig, wrong: str | None) -> None:
    if wrong is None:
        config.check(SPEC)
        return
    with pytest.raises(InvalidRequest, match=wrong):
        config.check(SPEC)


@pytest.mark.parametrize(
    ("config", "request_"),
    [
        (AgentConfig(code="1", timeout=2), ExecuteRequest("1", 2, given={"a": "é"})),
        (
            AgentConfig(entry="it's.py", sandbox_id="default"),
            ExecuteRequest(
                "import runpy; runpy.run_path(\"it's.py\", run_name='__main__'); del runpy", given={"a": "é"}
            ),
        ),
    ],
)
def test_what_a_kernel_is_asked_to_run(config: AgentConfig, request_: ExecuteRequest) -> None:
    assert config.request(SPEC, {"a": "é"}) == request_


def test_a_template_gets_its_input_in_its_places() -> None:
    config = AgentConfig(code="print({{ a }}, '{{b c}}')", template=True)
    assert config.request(SPEC, {"a": "x"}).code == "print('x', '{{b c}}')"
    assert replace(config, template=False).request(SPEC, {"a": "x"}).code == config.code
    assert AgentConfig(code="echo {{a}}", template=True).request(BASH, {"a": "x y"}).code == "echo 'x y'"


def test_a_shell_finds_its_input_in_a_variable() -> None:
    envs = {"EXECD_INPUT": '{"a":"\\u00e9"}'}
    code = AgentConfig(language="bash", code="echo").request(BASH, {"a": "é"})
    assert code == ExecuteRequest("echo", envs=envs, given={"a": "é"})
    entry = AgentConfig(language="bash", entry="a b.sh", sandbox_id="default").request(BASH, {"a": "é"})
    assert entry.code == ". 'a b.sh'"


def test_a_variable_is_not_as_large_as_an_input_may_be() -> None:
    with pytest.raises(InvalidRequest, match="input: expected at most 102400 bytes for a shell"):
        AgentConfig(language="bash", code="echo").request(BASH, {"a": "x" * 102_400})


def test_a_config_comes_back_as_it_was_stored() -> None:
    config = AgentConfig(code="1", memory=7, metadata={"a": 1})
    assert AgentConfig.of({**config.as_json, "from_a_later_version": 1}) == config


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({}, None),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, None),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {}}, None),
        ({"type": "thing"}, "input_schema.type: expected a JSON Schema"),
        ({"properties": {"a": {"type": 1}}}, "input_schema.properties.a.type: "),
    ],
)
def test_a_schema_is_one(schema: dict[str, Any], wrong: str | None) -> None:
    if wrong is None:
        check_schema(schema, "input_schema")
        return
    with pytest.raises(InvalidRequest, match=wrong):
        check_schema(schema, "input_schema")


@pytest.mark.parametrize(
    ("value", "schema", "wrong"),
    [
        ({"a": 1}, {"properties": {"a": {"type": "integer"}}}, None),
        ({"a": "1"}, {"properties": {"a": {"type": "integer"}}}, "input.a: '1' is not of type 'integer'"),
        ({}, {"required": ["a"]}, "input: 'a' is a required property"),
        ({"a": [{"b": 1}]}, {"properties": {"a": {"items": {"maxProperties": 0}}}}, "input.a.0: "),
        ({"a": 1}, {"$ref": "#/$defs/none"}, "refers to what it does not hold"),
        ({"a": 1}, {"$ref": "https://schemas.example/any.json"}, "refers to what it does not hold"),
        ({"a": 1}, {"$defs": {"x": {"$ref": "#/$defs/x"}}, "$ref": "#/$defs/x"}, "can be followed through"),
    ],
)
def test_a_value_fits(value: Any, schema: dict[str, Any], wrong: str | None) -> None:
    check_schema(schema, "input_schema")
    if wrong is None:
        check_fits(value, schema, "input")
        return
    with pytest.raises(InvalidRequest, match=wrong):
        check_fits(value, schema, "input")
