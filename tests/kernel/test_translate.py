"""What a kernel said, as what clients are told. Contents as in the protocol's documentation and as recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from execd.events import (
    Checkpoint,
    ClearOutput,
    Display,
    DisplayUpdate,
    Error,
    Event,
    ExecutionCount,
    InputRequest,
    Report,
    Result,
    StatusChanged,
    Stderr,
    Stdout,
)
from execd.kernel.messages import MalformedMessage, Message
from execd.kernel.translate import events_of

CHECKPOINT = "\0execd_checkpoint:"
RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


def message(kind: str, content: Any) -> Message:
    return Message(kind, "m1", json.dumps(content).encode())


PNG: dict[str, dict[str, Any]] = {"data": {"image/png": "aGk="}, "metadata": {"image/png": {"width": 640}}}

TABLE: list[tuple[str, dict[str, Any], list[Event]]] = [
    ("stream", {"name": "stdout", "text": "hi\n"}, [Stdout("hi\n")]),
    ("stream", {"name": "stderr", "text": "oh\n"}, [Stderr("oh\n")]),
    ("stream", {"name": "stdout", "text": ""}, []),
    ("stream", {}, []),
    (
        "execute_result",
        {"execution_count": 3, "data": {"text/plain": "42"}, "metadata": {}},
        [ExecutionCount(3), Result({"text/plain": "42"}, {})],
    ),
    (
        "execute_result",
        {"execution_count": None, "data": {"text/plain": "42"}, "metadata": {}},
        [Result({"text/plain": "42"}, {})],
    ),
    ("execute_result", {"data": {"text/plain": "42"}}, [Result({"text/plain": "42"}, {})]),
    ("display_data", PNG, [Display(PNG["data"], PNG["metadata"])]),
    ("display_data", {**PNG, "transient": {}}, [Display(PNG["data"], PNG["metadata"])]),
    ("display_data", {**PNG, "transient": {"display_id": "d1"}}, [Display(PNG["data"], PNG["metadata"], "d1")]),
    ("display_data", {}, [Display({}, {})]),
    (
        "update_display_data",
        {**PNG, "transient": {"display_id": "d1"}},
        [DisplayUpdate(PNG["data"], PNG["metadata"], "d1")],
    ),
    ("clear_output", {"wait": True}, [ClearOutput(wait=True)]),
    ("clear_output", {}, [ClearOutput(wait=False)]),
    (
        "error",
        {"ename": "ValueError", "evalue": "no", "traceback": ["1", "2"]},
        [StatusChanged("error"), Error("ValueError", "no", ("1", "2"))],
    ),
    ("error", {}, [StatusChanged("error"), Error("", "")]),
    ("input_request", {"prompt": "pin: ", "password": True}, [InputRequest("pin: ", password=True)]),
    ("input_request", {"prompt": CHECKPOINT + '{"name": "go?", "payload": 1}'}, [Checkpoint("go?", 1)]),
    ("execd_report", {"kind": "output", "value": 1}, [Report("output", {"value": 1})]),
    ("execd_report", {"kind": "something_new"}, []),
    ("execd_report", {}, []),
    ("input_request", {}, [InputRequest("", password=False)]),
    ("status", {"execution_state": "busy"}, []),
    ("execute_input", {"code": "1", "execution_count": 1}, []),
    ("execute_reply", {"status": "ok"}, []),
    ("comm_open", {"comm_id": "c", "target_name": "t", "data": {}}, []),
    ("comm_msg", {"comm_id": "c", "data": {}}, []),
    ("shutdown_reply", {"restart": False}, []),
    ("debug_event", {}, []),
    ("something_new", {"x": 1}, []),
]


@pytest.mark.parametrize(("kind", "content", "events"), TABLE)
def test_a_message_becomes_events(kind: str, content: dict[str, Any], events: list[Event]) -> None:
    assert events_of(message(kind, content)) == events


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("display_data", {"data": ["text/plain"]}),
        ("display_data", {"data": "text"}),
        ("display_data", {"data": {}, "metadata": 7}),
        ("display_data", {"data": {}, "transient": [1]}),
        ("update_display_data", {"data": 1}),
        ("execute_result", {"execution_count": 1, "data": 1}),
        ("error", {"traceback": 7}),
        ("stream", []),
        ("input_request", {"prompt": CHECKPOINT}),
        ("input_request", {"prompt": CHECKPOINT + "[]"}),
        ("input_request", {"prompt": CHECKPOINT + "{}"}),
    ],
)
def test_what_the_protocol_does_not_know_is_malformed(kind: str, content: Any) -> None:
    with pytest.raises(MalformedMessage):
        events_of(message(kind, content))


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("silent", []),
        ("result", ["execution_count", "result"]),
        ("streams", ["stdout", "stderr"]),
        ("error", ["status", "error"]),
        ("syntax", ["status", "error"]),
        ("display", ["result", "update_display_data", "clear_output"]),
        ("input", ["input_request"]),
        ("sleep", ["status", "error"]),
        ("exit", []),
    ],
)
def test_recorded_traffic(name: str, events: list[str]) -> None:
    traffic = [message(found["type"], found["content"]) for found in RECORDED[name]["traffic"] if "type" in found]
    assert [event.type for each in traffic for event in events_of(each)] == events


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_large_output_becomes_events_that_a_journal_can_move_one_by_one(name: str) -> None:
    text = "añ€😀\r\n" * 100_000
    events = events_of(message("stream", {"name": name, "text": text}))
    pieces = [event.text for event in events if isinstance(event, Stdout | Stderr)]
    assert len(pieces) == len(events) > 1
    assert {event.type for event in events} == {name}
    assert max(map(len, pieces)) <= 256 * 1024
    assert "".join(pieces) == text
