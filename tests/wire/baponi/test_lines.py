"""A run as lines of JSON, numbered by its journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from execd.events import Complete, Error, Event, Keepalive, Reason, Status, Stderr, Stdout, Truncated
from execd.service.execution import Execution
from execd.wire.baponi.lines import Numbered, told
from tests.service.stage import new_execution

PRINTED: tuple[Event, ...] = (
    Stdout("one\ntwo\u2028\n"),
    Keepalive(),
    Stderr("part"),
    Stdout("\r10 %\r\n\n"),
)


def run(folder: Path, *events: Event) -> Execution:
    """A run that did this, and failed."""
    execution = new_execution(folder)
    execution.start()
    for event in events:
        execution.emit(event)
    execution.emit(Error("E", "1"))
    execution.finish(Complete(Status.FAILED, Reason.ERROR, exit_code=1))
    return execution


async def lines_of(execution: Execution, after: int = 0, *, only_output: bool = False) -> list[bytes]:
    """Its lines."""
    found = [block async for block in told(execution, Numbered("trc_1", after, only_output=only_output))]
    return b"".join(found).splitlines()


async def events_of(execution: Execution, after: int = 0, *, only_output: bool = False) -> list[dict[str, Any]]:
    """What they say."""
    return [json.loads(line) for line in await lines_of(execution, after, only_output=only_output)]


async def test_what_a_run_is_told_as(tmp_path: Path) -> None:
    assert await events_of(run(tmp_path, *PRINTED)) == [
        {"type": "status", "trace_id": "trc_1", "status": "running", "seq": 1},
        {"type": "output", "stream": "stdout", "data": "one\n", "seq": 2},
        {"type": "output", "stream": "stdout", "data": "two\u2028\n", "seq": 3},
        {"type": "keepalive", "seq": 4},
        {"type": "output", "stream": "stderr", "data": "part", "seq": 5},
        {"type": "output", "stream": "stdout", "data": "\r10 %\r\n", "seq": 6},
        {"type": "output", "stream": "stdout", "data": "\n", "seq": 7},
        {
            "type": "result",
            "trace_id": "trc_1",
            "status": "failed",
            "result": {
                "success": False,
                "stdout": "one\ntwo\u2028\n\r10 %\r\n\n",
                "stderr": "part",
                "exit_code": 1,
                "error": None,
            },
            "output_truncated": False,
            "seq": 8,
        },
    ]


async def test_lines_are_ascii(tmp_path: Path) -> None:
    # Clients split lines at U+2028 and its kin.
    assert all(line.isascii() for line in await lines_of(run(tmp_path, *PRINTED)))


@pytest.mark.parametrize("after", range(10))
async def test_numbers_stay_the_same_for_whoever_comes_back(tmp_path: Path, after: int) -> None:
    execution = run(tmp_path, *PRINTED)
    every = await events_of(execution)
    assert await events_of(execution, after) == every[after:]
    assert await events_of(execution, after, only_output=True) == every[max(after, 1) :]


@pytest.mark.parametrize(("stream", "truncated"), [("stdout", True), ("stderr", True), ("artifacts", False)])
async def test_left_out_output_is_told(tmp_path: Path, stream: str, truncated: bool) -> None:
    *_, result = await events_of(run(tmp_path, Truncated(stream, 1, 2)))
    assert (result["output_truncated"], result["seq"]) == (truncated, 2)
