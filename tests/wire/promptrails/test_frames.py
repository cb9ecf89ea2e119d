"""The record and the stream of a run, as its clients see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execd.events import Checkpoint, Complete, Error, Event, Reason, Report, Result, Status, Stderr, Stdout
from execd.service.agent_output import Gatherer
from execd.service.execution import Execution
from execd.wire.promptrails.frames import ExecutionFrames, end_of
from execd.wire.promptrails.rendering import execution_body
from tests.service.stage import new_execution


def run_of(folder: Path, *events: Event, given: dict[str, Any] | None = None) -> Execution:
    """A run that has begun, and has done this."""
    execution = new_execution(folder, given=given or {})
    execution.listener = Gatherer(execution.origin.detail, lambda _: None)
    execution.start()
    for event in events:
        execution.emit(event)
    return execution


async def frames_of(execution: Execution, *, newer: bool = False) -> list[str]:
    framing = ExecutionFrames(execution, newer=newer)
    text = framing.frames(await execution.journal.read(0)).decode()
    assert "\r" not in text
    return [frame for frame in text.split("\n\n") if frame]


@pytest.mark.anyio
async def test_a_stream(tmp_path: Path) -> None:
    execution = run_of(
        tmp_path,
        Stdout("one\u2028\n"),
        Stderr("not told"),
        Report("tool_start", {"id": "t1", "name": "look"}),
        Report("tool_end", {"id": "t1", "name": "look", "summary": "found"}),
        Report("usage", {"tokens": {"total_tokens": 3}, "cost": 0.5}),
        Checkpoint("go?", None),
        Report("output", {"value": {"x": 1}}),
        Result({"text/plain": "not told"}, {}),
    )
    execution.finish(Complete(Status.SUCCEEDED))
    assert await frames_of(execution) == [
        f'event: execution\ndata: {{"execution_id": "{execution.id}"}}',
        'event: content\ndata: {"content": "one\\u2028\\n"}',
        'event: tool_start\ndata: {"id": "t1", "name": "look"}',
        'event: tool_end\ndata: {"id": "t1", "name": "look", "summary": "found"}',
        'event: done\ndata: {"output": {"x": 1}, "token_usage": {"total_tokens": 3}}',
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(("newer", "word"), [(False, "awaiting_approval"), (True, "waiting_approval")])
async def test_a_stream_says_that_a_run_is_parked_and_goes_on(tmp_path: Path, newer: bool, word: str) -> None:
    execution = run_of(tmp_path)
    execution.park()
    execution.resume()
    assert (await frames_of(execution, newer=newer))[1:] == [
        f'event: status\ndata: {{"status": "{word}"}}',
        'event: status\ndata: {"status": "running"}',
    ]


@pytest.mark.parametrize(
    ("complete", "events", "told"),
    [
        (Complete(Status.SUCCEEDED), (), ("done", {"token_usage": {}})),
        (Complete(Status.CANCELLED), (), ("error", {"message": "cancelled"})),
        (Complete(Status.FAILED, Reason.ERROR), (Error("E", "why"),), ("error", {"message": "E: why"})),
        (Complete(Status.FAILED, Reason.ERROR), (Error("E", ""),), ("error", {"message": "E"})),
        (Complete(Status.REJECTED), (Error("Rejected", "no"),), ("error", {"message": "Rejected: no"})),
    ],
)
def test_the_last_frame(tmp_path: Path, complete: Complete, events: tuple[Event, ...], told: Any) -> None:
    execution = run_of(tmp_path, *events)
    execution.finish(complete)
    assert end_of(execution) == told


def test_the_record_of_a_run_that_is_over(tmp_path: Path) -> None:
    execution = run_of(tmp_path, Stdout("abc"), Report("output", {"value": 7}), given={"q": 1})
    execution.finish(Complete(Status.SUCCEEDED, cpu_seconds=0.5, peak_memory_bytes=9))
    body = execution_body(execution, newer=False)
    assert body.id == body.execution_id == execution.id
    assert (body.status, body.input, body.output, body.error) == ("completed", {"q": 1}, {"result": 7}, "")
    assert (body.usage.cpu_seconds, body.usage.peak_memory_bytes, body.usage.output_bytes) == (0.5, 9, 3)
    assert body.duration_ms == body.usage.duration_ms == execution.elapsed_ms()
    assert body.completed_at is not None


def test_the_record_of_a_run_that_is_not_over_tells_no_end(tmp_path: Path) -> None:
    execution = run_of(tmp_path, Report("output", {"value": 7}))
    execution.origin.detail["approval_expires_at"] = 0
    body = execution_body(execution, newer=True)
    assert (body.status, body.output, body.duration_ms, body.completed_at) == ("running", None, None, None)
    assert body.approval_expires_at is None
    execution.park()
    parked = execution_body(execution, newer=True)
    assert (parked.status, parked.approval_expires_at) == ("waiting_approval", "1970-01-01T00:00:00.000Z")
