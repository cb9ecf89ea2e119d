"""What Baponi's API takes, and what it does not."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from execd.errors import InvalidRequest
from execd.service.program import LANGUAGES
from execd.wire.baponi import rules
from execd.wire.baponi.rules import Mode, is_trace_id, mode_of, output_is_kept, relative_path
from execd.wire.baponi.schemas import BaponiExecute, BaponiUpload, Language
from execd.wire.body import parse_model

NDJSON = "application/x-ndjson"
MOST_VARIABLES = {f"A{number}": "x" for number in range(50)}
MOST_TEXT = {f"A{number}": "x" * 4096 for number in range(15)}
MOST_METADATA = {f"a{number}": "x" for number in range(10)}


@pytest.mark.parametrize(
    ("accept", "prefer", "mode"),
    [
        ("", "", Mode.INLINE),
        ("*/*", "", Mode.INLINE),
        ("application/json", "wait=10", Mode.INLINE),
        (NDJSON, "", Mode.STREAMING),
        (f"application/json, {NDJSON};q=0.9", "", Mode.STREAMING),
        ("Application/X-NDJSON", "", Mode.STREAMING),
        ("", "respond-async", Mode.WEBHOOK),
        ("", "Respond-Async, wait=10", Mode.WEBHOOK),
        (NDJSON, "respond-async", Mode.WEBHOOK),
        (f"{NDJSON}x", "respond-asynchronously", Mode.INLINE),
    ],
)
def test_the_mode_is_told_by_headers(accept: str, prefer: str, mode: Mode) -> None:
    assert mode_of(accept, prefer) is mode


TAKEN: list[dict[str, Any]] = [
    {},
    {"code": "é" * 600_000, "language": "node", "timeout": 1},
    {"timeout": 3600, "language": None, "thread_id": None, "metadata": None, "env_vars": None, "unknown": 1},
    {"thread_id": "a"},
    {"thread_id": "9" + "_-" * 63 + "z"},
    {"metadata": {**MOST_METADATA}},
    {"metadata": {"a" * 40: "é" * 256, "0.b_c-d": ""}},
    {"sub_paths": ["/data/a"] * 10},
    {"sub_paths": ["/data/" + "x" * 506, "/data/%41", "/data/a.b"]},
    {"env_vars": MOST_VARIABLES},
    {"env_vars": MOST_TEXT},
    {"env_vars": {"A" * 128: "tab\t line\n return\r é", "PATHS": "", "PYTHONPATHS": "", "LDX": "", "CI": "1"}},
    {"webhook_url": "https://example.com/hook?a=b"},
    {"webhook_url": "https://h/" + "x" * 2038},
]


@pytest.mark.parametrize("given", TAKEN, ids=str)
def test_what_is_taken(given: dict[str, Any]) -> None:
    BaponiExecute.model_validate({"code": "x", **given})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"code": ""}, "code: expected code, between 1 byte and 1 MB"),
    ({"code": None}, "code"),
    ({"code": 1}, "code"),
    ({"code": "\ud800"}, "code: expected text without lone surrogates"),
    ({"language": "Python"}, "language"),
    ({"language": "cobol"}, "language"),
    ({"language": ""}, "language"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": 3601}, "timeout"),
    ({"timeout": 1.5}, "timeout"),
    ({"timeout": "60"}, "timeout"),
    ({"timeout": True}, "timeout"),
    ({"thread_id": ""}, "thread_id"),
    ({"thread_id": "_a"}, "thread_id"),
    ({"thread_id": "a/b"}, "thread_id"),
    ({"thread_id": "a\n"}, "thread_id"),
    ({"thread_id": "é"}, "thread_id"),
    ({"thread_id": "a" * 129}, "thread_id"),
    ({"metadata": {**MOST_METADATA, "z": ""}}, "metadata: expected at most 10 keys"),
    ({"metadata": {"": "x"}}, "metadata"),
    ({"metadata": {"a" * 41: "x"}}, "metadata"),
    ({"metadata": {".a": "x"}}, "metadata"),
    ({"metadata": {"a b": "x"}}, "metadata"),
    ({"metadata": {"a": "x" * 257}}, "metadata"),
    ({"metadata": {"a": "\0"}}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"metadata": []}, "metadata"),
    ({"sub_paths": ["/data/a"] * 11}, "sub_paths"),
    ({"sub_paths": ["/data"]}, "sub_paths"),
    ({"sub_paths": ["data/a"]}, "sub_paths"),
    ({"sub_paths": ["/data/" + "x" * 507]}, "sub_paths"),
    ({"sub_paths": "/data/a"}, "sub_paths"),
    *(
        ({"sub_paths": [f"/data/{bad}"]}, "sub_paths")
        for bad in ("..", "a\\b", "\0", "%2e", "%2F", "%5c", "%00", "%25", "%c0", "%C1")
    ),
    ({"env_vars": {**MOST_VARIABLES, "Z": ""}}, "env_vars: expected at most 50"),
    ({"env_vars": {**MOST_TEXT, "Z": "x" * 4096, "Y": "x" * 4096}}, "env_vars: expected names and values"),
    ({"env_vars": {"A": "x" * 4097}}, "env_vars"),
    ({"env_vars": {"A": 1}}, "env_vars.A"),
    *(({"env_vars": {bad: ""}}, "env_vars") for bad in ("", "a", "1A", "A-B", "É", "A" * 129, "A\n")),
    *(({"env_vars": {"A": bad}}, "env_vars") for bad in ("\0", "\x1b", "\x0b", "\ud800")),
    *(
        ({"env_vars": {name: ""}}, "env_vars: expected names that the system has not reserved")
        for name in (
            "PATH",
            "HOME",
            "PYTHONPATH",
            "PYTHONUNBUFFERED",
            "PS4",
            "IFS",
            "NODE_OPTIONS",
            "HTTPS_PROXY",
            "ENV",
        )
    ),
    *(
        ({"env_vars": {f"{prefix}X": ""}}, "env_vars: expected names")
        for prefix in ("BAPONI_", "NSJAIL_", "LD_", "LC_", "XDG_", "_")
    ),
    *(
        ({"webhook_url": bad}, "webhook_url")
        for bad in ("", "http://h/", "https://", "https:///x", "https://[h/", "https://h/\n", "https://h/" + "x" * 2039)
    ),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_model(json.dumps({"code": "x", **given}).encode(), BaponiExecute)
    assert str(refused.value).startswith(said)


def test_a_reserved_name_is_not_named() -> None:
    with pytest.raises(ValueError, match="reserved") as refused:
        rules.env_vars({"LD_PRELOAD": "x"})
    assert "LD_" not in str(refused.value)


def test_the_languages_are_those_that_can_be_started() -> None:
    assert get_args(Language) == LANGUAGES


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("a", "a"),
        ("", ""),
        ("a/b//c/", "a/b/c"),
        ("./a/./b", "a/b"),
        ("/home/baponi/a", "a"),
        ("/home/baponi", ""),
        ("..a/b..", "..a/b.."),
        ("$HOME/~", "$HOME/~"),
    ],
)
def test_paths(given: str, meant: str) -> None:
    assert relative_path(given) == meant


@pytest.mark.parametrize(
    "given", ["/a", "/home/baponix", "a/../b", "..", "/home/baponi/../x", "a\0", "x" * 4097, "\ud800"]
)
def test_paths_that_lead_out(given: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        relative_path(given)


@pytest.mark.parametrize("given", [{"content_length": -1}, {"content_length": "3"}, {"content_type": "a\r\nb"}, {}])
def test_uploads_that_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        BaponiUpload.model_validate({"source": "thread", "id": "a", "path": "a", **given})


@pytest.mark.parametrize(
    ("given", "could_be"),
    [
        ("trc_a", True),
        ("trc_" + "aZ0_-" * 4, True),
        ("trc_", False),
        ("trc_" + "a" * 21, False),
        ("run_a", False),
        ("trc_a\n", False),
    ],
)
def test_trace_ids(given: str, could_be: bool) -> None:
    assert is_trace_id(given) is could_be


@pytest.mark.parametrize(
    ("timeout", "now", "kept"), [(60, 360_999, True), (60, 361_001, False), (None, 301_000, True), (1, 302_001, False)]
)
def test_how_long_output_is_kept(timeout: float | None, now: int, kept: bool) -> None:
    assert output_is_kept(1000, timeout, now) is kept
