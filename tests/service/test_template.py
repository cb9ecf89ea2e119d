"""What stands in an agent's code where its input is to be."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from execd.errors import InvalidRequest
from execd.service.template import check_language, filled
from tests.kernel.fake_kernel import SPEC

BASH = replace(SPEC, language="bash", engine="bash", prelude=Path("/prelude"))
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda below: strategies.lists(below) | strategies.dictionaries(strategies.text(), below),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("code", "python", "bash"),
    [
        ("{{a}}", "'it\\'s'", "'it'\"'\"'s'"),
        ("{{  a  }}{{a}}", '"it\'s""it\'s"', None),
        ("{{ o.n }}", "7", "7"),
        ("{{ o }}", "{'n': 7, 'none': None}", '\'{"n": 7, "none": null}\''),
        ("{{ o.none }}", "None", "null"),
        ("{ {a} } {{}} {{ 1 }} {{ a b }} {{a.}}", "{ {a} } {{}} {{ 1 }} {{ a b }} {{a.}}", None),
    ],
)
def test_places(code: str, python: str, bash: str | None) -> None:
    values = {"a": "it's", "o": {"n": 7, "none": None}}
    got = filled(code, values, SPEC)
    assert got == python or ast.literal_eval(got) == ast.literal_eval(python)
    if bash is not None:
        assert filled(code, values, BASH) == bash


@pytest.mark.parametrize("code", ["{{ b }}", "{{ a.b }}", "{{ o.x }}", "{{ l.x }}"])
def test_what_is_not_there(code: str) -> None:
    with pytest.raises(InvalidRequest, match="which is not there"):
        filled(code, {"a": "text", "o": {}, "l": []}, SPEC)


def test_what_cannot_be_said() -> None:
    with pytest.raises(InvalidRequest, match="NUL"):
        filled("{{ a }}", {"a": "x\0y"}, BASH)
    with pytest.raises(InvalidRequest, match="no templates in r"):
        check_language(replace(SPEC, language="r"))


@given(JSON)
def test_whatever_it_is_it_is_one_literal(value: Any) -> None:
    assert ast.literal_eval(filled("{{ a }}", {"a": value}, SPEC)) == value


@pytest.mark.parametrize("text", ["$(touch x)", "a'; exit 7 #", "`id`", "line\nline", "{{ a }}", "", "-n"])
def test_a_shell_takes_it_for_one_word(text: str) -> None:
    code = filled('set -- {{ a }}; printf "%s:%s" "$#" "$1"', {"a": text}, BASH)
    assert subprocess.check_output(["bash", "-c", code], text=True) == f"1:{text}"
