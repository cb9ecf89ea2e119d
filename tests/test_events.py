"""Events and their encoding."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd import events
from execd.events import (
    Artifact,
    ArtifactsLeftOut,
    Checkpoint,
    ClearOutput,
    Complete,
    ContextRestarted,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    Init,
    InputRequest,
    Interruption,
    Keepalive,
    Reason,
    Report,
    Result,
    ServiceRestarted,
    Status,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
    encode,
    is_terminal,
)

any_text = st.text(st.characters(exclude_categories=()), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=12,
)

FIELDS: list[tuple[Event, dict[str, Any]]] = [
    (Init("cmd_1", None), {"type": "init", "text": "cmd_1", "execution_id": "cmd_1"}),
    (Init("run_1", "ctx_1"), {"type": "init", "text": "ctx_1", "execution_id": "run_1", "context_id": "ctx_1"}),
    (StatusChanged("queued", 2), {"type": "status", "text": "queued", "position": 2}),
    (StatusChanged("running"), {"type": "status", "text": "running"}),
    (
        ContextRestarted(2, "it died"),
        {
            "type": "context_restarted",
            "text": "this context runs in a new kernel, its earlier variables are lost: it died",
            "generation": 2,
            "why": "it died",
        },
    ),
    (
        ServiceRestarted(7),
        {
            "type": "service_restarted",
            "text": "the service was restarted; output after event 7 and before this one may be missing",
            "kept_seq": 7,
        },
    ),
    (Stdout("a"), {"type": "stdout", "text": "a"}),
    (Stderr("b"), {"type": "stderr", "text": "b"}),
    (Keepalive(), {"type": "keepalive"}),
    (ExecutionCount(3), {"type": "execution_count", "execution_count": 3}),
    (
        Result({"text/plain": "42"}, {}),
        {"type": "result", "results": {"text": "42", "text/plain": "42"}, "is_main_result": True},
    ),
    (
        Display({"image/png": "aGk="}, {"image/png": {"width": 1}}, "d1"),
        {
            "type": "result",
            "results": {"text": "", "image/png": "aGk="},
            "metadata": {"image/png": {"width": 1}},
            "display_id": "d1",
            "is_main_result": False,
        },
    ),
    (
        DisplayUpdate({"text/plain": "2"}, {}, "d1"),
        {"type": "update_display_data", "results": {"text": "2", "text/plain": "2"}, "display_id": "d1"},
    ),
    (ClearOutput(wait=True), {"type": "clear_output", "wait": True}),
    (InputRequest("who? ", False), {"type": "input_request", "text": "who? ", "prompt": "who? ", "password": False}),
    (Report("usage", {"cost": 1.5}), {"type": "report", "report": {"cost": 1.5, "kind": "usage"}}),
    (Checkpoint("go?", [1]), {"type": "checkpoint", "text": "go?", "name": "go?", "payload": [1]}),
    (
        Error("ValueError", "no", ("line 1", "line 2")),
        {"type": "error", "error": {"ename": "ValueError", "evalue": "no", "traceback": ["line 1", "line 2"]}},
    ),
    (
        Truncated("stdout", 5, 9),
        {
            "type": "truncated",
            "text": "5 of 9 bytes of stdout were left out here",
            "stream": "stdout",
            "dropped_bytes": 5,
            "total_bytes": 9,
        },
    ),
    (Artifact({"id": "art_1"}), {"type": "artifact", "artifact": {"id": "art_1"}}),
    (
        ArtifactsLeftOut(2, 5, 4, "a run may have 100"),
        {
            "type": "truncated",
            "text": "2 of this run's artifacts were left out: a run may have 100",
            "stream": "artifacts",
            "dropped_bytes": 5,
            "total_bytes": 9,
            "dropped_count": 2,
        },
    ),
    (
        Complete(Status.SUCCEEDED, duration_ms=12),
        {"type": "execution_complete", "execution_time": 12, "status": "succeeded"},
    ),
    (
        Complete(
            Status.FAILED,
            Reason.KERNEL_DIED,
            exit_code=-9,
            duration_ms=7,
            cpu_seconds=0.0,
            peak_memory_bytes=4096,
            interruption=Interruption("kill", state_kept=False),
        ),
        {
            "type": "execution_complete",
            "execution_time": 7,
            "status": "failed",
            "reason": "kernel_died",
            "exit_code": -9,
            "cpu_seconds": 0.0,
            "peak_memory_bytes": 4096,
            "interruption": {"rung": "kill", "state": "lost"},
        },
    ),
]


def event_classes() -> set[type[Event]]:
    return {
        found
        for found in vars(events).values()
        if isinstance(found, type) and issubclass(found, Event) and hasattr(found, "type")
    }


def decoded(event: Event, seq: int = 1, timestamp: int = 2) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(encode(event, seq, timestamp))
    return fields


@pytest.mark.parametrize(("event", "fields"), FIELDS)
def test_the_fields_of_an_event(event: Event, fields: dict[str, Any]) -> None:
    assert decoded(event) == {**fields, "seq": 1, "timestamp": 2}


def test_every_event_is_spelled_out_above() -> None:
    assert {type(event) for event, _ in FIELDS} == event_classes()


@pytest.mark.parametrize(("event", "fields"), FIELDS)
def test_type_seq_and_timestamp_come_first(event: Event, fields: dict[str, Any]) -> None:
    assert list(decoded(event, 7, 1_700_000_000_000))[:3] == ["type", "seq", "timestamp"]
    assert encode(event, 7, 1_700_000_000_000).startswith(
        b'{"type":"%s","seq":7,"timestamp":1700000000000' % event.type.encode()
    )


def test_only_a_late_event_says_so() -> None:
    assert decoded(Stdout("x", late=True))["late"] is True
    assert "late" not in decoded(Stdout("x"))


@pytest.mark.parametrize(("event", "fields"), FIELDS)
def test_only_the_end_is_terminal(event: Event, fields: dict[str, Any]) -> None:
    assert is_terminal(encode(event, 1, 1)) is isinstance(event, Complete)


def test_text_that_looks_like_an_end_is_none() -> None:
    assert not is_terminal(encode(Stdout('{"type":"execution_complete",'), 1, 1))


@pytest.mark.parametrize(
    ("status", "terminal"),
    [("queued", False), ("running", False), ("succeeded", True), ("failed", True), ("cancelled", True)],
)
def test_which_statuses_are_ends(status: str, terminal: bool) -> None:
    assert Status(status).terminal is terminal


@given(any_text)
def test_any_text_is_one_line_of_ascii_that_reads_back(text: str) -> None:
    record = encode(Stdout(text), 1, 2)
    assert record.isascii()
    assert len(record.decode().splitlines()) == 1
    assert json.loads(record)["text"] == text


@pytest.mark.parametrize("text", ["\ud800", "a\u2028b", "\x00\x1b[0m\x7f", "\r\n", "\x85", "é😀"])
def test_awkward_text(text: str) -> None:
    record = encode(Error(text, text, (text,)), 1, 2)
    assert record.isascii()
    assert len(record.decode().splitlines()) == 1
    assert json.loads(record)["error"] == {"ename": text, "evalue": text, "traceback": [text]}


@given(st.dictionaries(any_text, json_values, max_size=4))
def test_any_mime_bundle_is_strict_json(data: dict[str, Any]) -> None:
    record = encode(Result({"text/plain": "x", **data}, {}), 1, 2)
    assert record.isascii()
    results = json.loads(record, parse_constant=pytest.fail)["results"]
    assert results.keys() == {"text", "text/plain", *data}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_becomes_null(number: float) -> None:
    data = {"application/json": {"a": [number, 1.5], "b": {"c": (number,)}}}
    assert decoded(Display(data, {"m": number}, "d")) == {
        "type": "result",
        "seq": 1,
        "timestamp": 2,
        "results": {"text": "", "application/json": {"a": [None, 1.5], "b": {"c": [None]}}},
        "metadata": {"m": None},
        "display_id": "d",
        "is_main_result": False,
    }
