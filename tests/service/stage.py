"""What tests of executions and contexts stand on: executions without a service, and a clock that they set."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import Execution, Origin, monotonic_ms
from execd.service.journal import Journal, now_ms
from tests.service.journal_model import read_all

_numbers = itertools.count(1)


class Clock:
    """Unix milliseconds, as the test says."""

    def __init__(self, now: int = 1_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def new_execution(
    folder: Path, code: str = "x = 1", *, clock: Any = now_ms, stopwatch: Any = monotonic_ms, **wanted: Any
) -> Execution:
    """A queued execution of `code`, its journal in memory."""
    identity = f"run_{next(_numbers)}"
    budget = OutputBudget(1 << 20, 1 << 16, 1 << 20)
    journal = Journal(clock=clock)
    origin = Origin(identity, "ctx_1", "python")
    return Execution.new(origin, ExecuteRequest(code, **wanted), journal, budget, lambda _: None, stopwatch)


def events_of(execution: Execution) -> list[dict[str, Any]]:
    """What its journal holds."""
    return [json.loads(record) for record in read_all(execution.journal)]


def types_of(execution: Execution) -> list[str]:
    """The types of its events; a status with its text."""
    return [f"status:{event['text']}" if event["type"] == "status" else event["type"] for event in events_of(execution)]


def ending(execution: Execution) -> tuple[str, str | None]:
    """How it ended: status and reason."""
    last = next(event for event in events_of(execution) if event["type"] == "execution_complete")
    return last["status"], last.get("reason")
