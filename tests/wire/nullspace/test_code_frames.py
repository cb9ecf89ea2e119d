"""Nullspace's stream of a run, record by record."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.events import (
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
    Reason,
    Result,
    ServiceRestarted,
    Status,
    StatusChanged,
    Stderr,
    Stdout,
    Truncated,
    encode,
)
from execd.service.execution import Execution
from execd.service.journal import Slice
from execd.wire.nullspace.code_frames import CodeFrames, in_pieces, keepalive_pause
from tests.service.stage import new_execution

SENT: dict[str, tuple[Event, dict[str, Any]]] = {
    "stdout": (Stdout("a\n"), {"type": "stdout", "text": "a\n"}),
    "stderr": (Stderr("é\u2028"), {"type": "stderr", "text": "é\u2028"}),
    "a value": (
        Result({"text/plain": "1", "text/html": "<b>"}, {"x": 1}),
        {
            "type": "result",
            "text": "1",
            "html": "<b>",
            "data": {"text/plain": "1", "text/html": "<b>"},
            "is_main_result": True,
        },
    ),
    "a display": (
        Display({"image/png": "aGk="}, {}, "d1"),
        {"type": "result", "png": "aGk=", "data": {"image/png": "aGk="}, "is_main_result": False, "display_id": "d1"},
    ),
    "an update": (
        DisplayUpdate({"text/plain": "2"}, {}, "d1"),
        {"type": "result", "text": "2", "data": {"text/plain": "2"}, "is_main_result": False, "display_id": "d1"},
    ),
    "an error": (
        Error("E", "e", ("1", "2")),
        {"type": "error", "name": "E", "value": "e", "traceback": "1\n2"},
    ),
    "a count": (ExecutionCount(3), {"type": "number_of_executions", "execution_count": 3}),
    "what is missing": (
        Truncated("stdout", 5, 9),
        {"type": "stderr", "text": "[execd: 5 of 9 bytes of stdout were left out here]\n"},
    ),
    "what may be missing": (
        ServiceRestarted(3),
        {
            "type": "stderr",
            "text": "[execd: the service was restarted; output after event 3 and before this one may be missing]\n",
        },
    ),
}
UNSENT: list[Event] = [
    Init("run_1", "ctx_1"),
    StatusChanged("queued", 1),
    ContextRestarted(2, "why"),
    ClearOutput(wait=True),
    InputRequest("?", False),
    Complete(Status.SUCCEEDED),
    Stdout("x", late=True),
    Display({}, {}, late=True),
    Error("E", "e", late=True),
]


@pytest.fixture
def execution(tmp_path: Path) -> Execution:
    found = new_execution(tmp_path)
    found.start()
    return found


def told(frames: bytes) -> list[dict[str, Any]]:
    """What a client reads: lines as httpx has them, those that begin with `data: `."""
    lines = httpx.Response(200, content=frames).iter_lines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("name", SENT)
def test_what_is_sent(name: str, execution: Execution) -> None:
    event, fields = SENT[name]
    frames = CodeFrames(execution).frames(Slice(7, [encode(event, 7, 5)]))
    assert told(frames) == [{**fields, "seq": 7, "timestamp": 5}]
    assert frames.startswith(b"data: {")
    assert frames.endswith(b"}\n\n")
    assert frames.isascii()


@pytest.mark.parametrize("event", UNSENT, ids=lambda event: event.type)
def test_what_is_not(event: Event, execution: Execution) -> None:
    assert CodeFrames(execution).frames(Slice(1, [encode(event, 1, 5)])) == b""


def test_artifacts_get_their_links(execution: Execution) -> None:
    record = b'{"type":"artifact","seq":1,"timestamp":5,"artifact":{"id":"art_1"}}'
    [event] = told(CodeFrames(execution, lambda artifact: {**artifact, "download_url": "u"}).frame(1, record))
    assert event == {"type": "artifact", "artifact": {"id": "art_1", "download_url": "u"}, "seq": 1, "timestamp": 5}


def at_end(execution: Execution, complete: Complete) -> list[dict[str, Any]]:
    """What is told of an end."""
    return told(CodeFrames(execution).frame(9, encode(complete, 9, 5)))


def test_the_count_comes_at_the_end_where_no_value_has_told_it(execution: Execution) -> None:
    counted = Complete(Status.SUCCEEDED, execution_count=4)
    assert at_end(execution, counted) == [
        {"type": "number_of_executions", "execution_count": 4, "seq": 9, "timestamp": 5}
    ]


CANCELLED = Complete(Status.CANCELLED)
FAILED = Complete(Status.FAILED, Reason.TIMEOUT)


@pytest.mark.parametrize(
    ("error", "complete", "names"),
    [
        (None, CANCELLED, ["Cancelled"]),
        (Error("KeyboardInterrupt", ""), CANCELLED, []),
        (Error("TimeoutError", "late"), FAILED, []),
        (None, Complete(Status.SUCCEEDED), []),
    ],
)
def test_no_end_looks_like_a_success_that_is_none(
    execution: Execution, error: Error | None, complete: Complete, names: list[str]
) -> None:
    if error is not None:
        execution.emit(error)
    assert [event["name"] for event in at_end(execution, complete)] == names


def test_comments_keep_it_alive(execution: Execution) -> None:
    assert CodeFrames(execution).ping() == b": keepalive\n\n"


async def test_many_records_leave_in_pieces_and_none_is_lost() -> None:
    records = [b"%d" % number for number in range(1, 1202)]

    async def slices() -> AsyncGenerator[Slice, None]:
        yield Slice(1, records[:1200])
        yield Slice(1201, records[1200:])

    found = [piece async for piece in in_pieces(slices())]
    assert [(piece.first, piece.last) for piece in found] == [(1, 500), (501, 1000), (1001, 1200), (1201, 1201)]
    assert [record for piece in found for record in piece.records] == records


@pytest.mark.parametrize(("interval", "pause"), [(3, 3), (0.2, 0.2), (60, 10)])
def test_comments_are_never_far_apart(interval: float, pause: float) -> None:
    assert keepalive_pause(interval) == pause


@given(st.lists(st.text(st.characters(exclude_categories=()) | st.sampled_from("\r\n\u2028\x85\x0b:"), max_size=9)))
def test_every_text_arrives_whole(given: list[str]) -> None:
    events: list[Event] = [
        Stdout(text) if place % 2 else Display({"text/plain": text}, {}) for place, text in enumerate(given)
    ]
    records = [encode(event, seq, 5) for seq, event in enumerate(events, start=1)]
    frames = CodeFrames(new_execution(Path("/nowhere"))).frames(Slice(1, records))
    assert [event["text"] for event in told(frames)] == given
