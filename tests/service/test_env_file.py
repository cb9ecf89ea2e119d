"""The grammar of the EXECD_ENVS file, and that what the SDK writes is what a command gets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opensandbox.adapters.converter.env_entry import build_set_env_command

from execd.service.env_file import MOST_BYTES, parse_env_file, read_env_file
from tests.machine import MACHINE

KNOWN = {"HOME": "/home/me", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=b", {"A": "b"}),
        ("A=b\n", {"A": "b"}),
        ("A=b\nC=d\n", {"A": "b", "C": "d"}),
        ("A=\n", {"A": ""}),
        ("A=one\nA=two\n", {"A": "two"}),
        ("# A=b\n\n  \n#\nC=d", {"C": "d"}),
        ("  A=  b c  \n", {"A": "b c"}),
        ("export A=b\n", {"A": "b"}),
        ("_a1=b\n", {"_a1": "b"}),
        ("A=b=c # d\n", {"A": "b=c # d"}),
        ("A=b\r\nC='d'\r\nE=\"f\"\r\n", {"A": "b", "C": "d", "E": "f"}),
        ("A=$HOME/x\n", {"A": "/home/me/x"}),
        ("A=${HOME}x$EMPTY$UNKNOWN.\n", {"A": "/home/mex."}),
        ("A=1\nB=${A}2\n", {"A": "1", "B": "12"}),
        ("HOME=/new\nA=$HOME\n", {"HOME": "/new", "A": "/new"}),
        ("A=$ $1 ${ $$\n", {"A": "$ $1 ${ $$"}),
        ("A=\\n\\t\n", {"A": "\\n\\t"}),
        ('A="b c"  \n', {"A": "b c"}),
        ('A=""\n', {"A": ""}),
        (r'A="a\nb\rc\td\\e\"f"', {"A": 'a\nb\rc\td\\e"f'}),
        (r'A="\$HOME \x"', {"A": r"$HOME \x"}),
        (r'A="\\$HOME"', {"A": r"\/home/me"}),
        ('A="$HOME ${HOME}"', {"A": "/home/me /home/me"}),
        ('A="one\ntwo"\nB=c', {"A": "one\ntwo", "B": "c"}),
        ("A='$HOME \\n \"x\" #'\n", {"A": '$HOME \\n "x" #'}),
        ("A='one\ntwo'\nB=c\n", {"A": "one\ntwo", "B": "c"}),
        ("A='one\r\n\rtwo'\n", {"A": "one\r\n\rtwo"}),
    ],
)
def test_the_grammar(text: str, found: dict[str, str]) -> None:
    assert parse_env_file(text, KNOWN) == found


@pytest.mark.parametrize(
    "line",
    ["no assignment", "1A=b", "A-B=c", "=b", "A =b", 'A="open', "A='open", 'A="b" c', "A='b' c", "A=b\0c", 'A="b\0"'],
)
def test_a_malformed_line_is_skipped_and_no_other(line: str) -> None:
    assert parse_env_file(f"B=1\n{line}\nC=2\n", KNOWN) == {"B": "1", "C": "2"}


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(st.text(alphabet="AB='\"$\\{}# \n\r\tn", max_size=60))
def test_nothing_makes_it_fail(text: str) -> None:
    for name, value in parse_env_file(text, KNOWN).items():
        assert name.isidentifier()
        assert "\0" not in value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(NAMES, VALUES.map(lambda value: value.replace("$", ""))), min_size=1, max_size=4))
def test_what_the_sdk_writes_comes_back(tmp_path: Path, written: list[tuple[str, str]]) -> None:
    file = tmp_path / "envs"
    file.unlink(missing_ok=True)
    for name, value in written:
        command = build_set_env_command(name, value)
        subprocess.run(["bash", "-c", command], env={**os.environ, "EXECD_ENVS": str(file)}, check=True)
    assert parse_env_file(read_env_file(MACHINE, file), {}) == dict(written)


@given(VALUES)
def test_a_value_without_a_single_quote_is_literal_dollars_included(value: str) -> None:
    value = value.replace("'", "")
    assert parse_env_file(f"A='{value}'\n", KNOWN) == {"A": value}


class TestReading:
    def test_no_file_is_an_empty_one(self, tmp_path: Path) -> None:
        assert read_env_file(MACHINE, tmp_path / "envs") == ""

    def test_line_ends_stay_as_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "envs").write_bytes(b"A='x\ry\r\nz'\n")
        assert read_env_file(MACHINE, tmp_path / "envs") == "A='x\ry\r\nz'\n"

    def test_bytes_that_are_no_utf_8_reach_the_process_as_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "envs").write_bytes(b"A=\xff\n")
        assert os.fsencode(parse_env_file(read_env_file(MACHINE, tmp_path / "envs"), {})["A"]) == b"\xff"

    def test_a_pipe_in_its_place_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "envs")
        assert read_env_file(MACHINE, tmp_path / "envs") == ""

    @pytest.mark.parametrize("target", ["/dev/zero", "/", "/proc/self/mem"])
    def test_what_is_no_plain_file_is_an_empty_one(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "envs").symlink_to(target)
        assert read_env_file(MACHINE, tmp_path / "envs") == ""

    def test_no_more_is_read_than_a_bound(self, tmp_path: Path) -> None:
        with (tmp_path / "envs").open("wb") as file:
            file.truncate(MOST_BYTES + 10)
        assert len(read_env_file(MACHINE, tmp_path / "envs")) == MOST_BYTES
