"""Patterns of base names."""

from __future__ import annotations

import fnmatch
import re
import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.errors import InvalidRequest
from execd.service.globs import Glob

NAMES = st.text("abc.[]{},-!*?\\é", max_size=12)


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("**", ["", "a", ".hidden", "a.b"], []),
        ("*", ["", "a", ".hidden"], []),
        ("*.py", ["a.py", ".py"], ["a.pyc", "py"]),
        ("a?c", ["abc", "aéc"], ["ac", "abbc"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x", "Ax"]),
        ("[!a-c]x", ["dx"], ["ax", "x"]),
        ("[^a-c]x", ["dx"], ["ax"]),
        ("[a\\]]", ["a", "]"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("*.{py,txt}", ["a.py", "a.txt"], ["a.md", "a.", "a.{py,txt}"]),
        ("{a,b*,}c", ["ac", "bc", "bxc", "c"], ["dc"]),
        ("{a{b,c},d}", ["ab", "ac", "d"], ["a", "bc"]),
        ("\\*", ["*"], ["a"]),
        ("a,b", ["a,b"], ["a"]),
        ("\\{a}".replace("}", "\\}"), ["{a}"], ["a"]),
        ("**/*.py", ["a.py"], ["a.txt"]),
        ("**/**/a", ["a"], ["b"]),
        ("{**/a,b}", ["a", "b"], ["c"]),
        ("a/**", ["a"], ["b"]),
        ("src/*.py", [], ["a.py", "src"]),
        ("", [""], ["a"]),
    ],
)
def test_patterns(pattern: str, fitting: list[str], other: list[str]) -> None:
    glob = Glob(pattern)
    assert [name for name in [*fitting, *other] if glob.matches(name)] == fitting


@pytest.mark.parametrize(
    "pattern",
    ["[", "[a", "[]", "[]a]", "[b-a]", "{", "{a", "{a,", "}", "a}", "\\", "a\\", "{" * 40 + "}" * 40, "a" * 5000],
)
def test_malformed_patterns(pattern: str) -> None:
    with pytest.raises(InvalidRequest, match="pattern: "):
        Glob(pattern)


@given(st.text(f"{string.ascii_lowercase}*?.", max_size=10), st.text("abc.", max_size=10))
def test_stars_and_question_marks_are_those_of_fnmatch(pattern: str, name: str) -> None:
    assert Glob(pattern).matches(name) == fnmatch.fnmatchcase(name, pattern)


@given(NAMES)
def test_an_escaped_name_fits_itself_alone(name: str) -> None:
    glob = Glob(re.sub(r"(.)", r"\\\1", name))
    assert glob.matches(name)
    assert not glob.matches(name + "a")


@given(NAMES)
def test_every_pattern_is_understood_or_refused(pattern: str) -> None:
    with suppress(InvalidRequest):
        Glob(pattern).matches("abc")


@given(st.lists(st.text("abc", max_size=3), min_size=1, max_size=4), st.text("abc", max_size=3))
def test_alternatives_are_a_choice(choices: list[str], name: str) -> None:
    assert Glob("{" + ",".join(choices) + "}").matches(name) == (name in choices)


def test_many_stars_do_not_take_forever() -> None:
    assert not Glob("*a" * 100 + "b").matches("a" * 255)
    assert not Glob("{a*,*a}" * 30 + "b").matches("a" * 255)
