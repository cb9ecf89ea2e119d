"""An execution whose output met its budget: what comes last is still last."""

from __future__ import annotations

import json
from pathlib import Path

from execd.events import Complete, Error, ExecutionCount, Reason, Status, StatusChanged, Stdout
from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import Execution, Origin
from execd.service.journal import Journal
from tests.service.journal_model import now


def started(folder: Path, budget: OutputBudget) -> Execution:
    """An execution under way."""
    execution = Execution.new(Origin("e", None, "command"), ExecuteRequest("code"), Journal(), budget, lambda _: None)
    execution.start()
    return execution


def types(execution: Execution) -> list[str]:
    """The types of its events."""
    return [json.loads(record)["type"] for record in now(execution.journal.read(0)).records]


def test_the_error_comes_after_the_end_of_the_output(tmp_path: Path) -> None:
    execution = started(tmp_path, OutputBudget(1000, 100, 1000))
    for _ in range(100):
        execution.emit(Stdout("x" * 40 + "\n"))
    execution.emit(StatusChanged("error"))
    execution.emit(Error("E", "1"))
    execution.finish(Complete(Status.FAILED, Reason.ERROR))
    found = types(execution)
    assert found[:2] == ["init", "stdout"]
    assert found[-5:] == ["truncated", "stdout", "status", "error", "execution_complete"]
    assert found.count("error") == 1
    assert execution.error == Error("E", "1")


def test_within_the_budget_everything_comes_as_it_happens(tmp_path: Path) -> None:
    execution = started(tmp_path, OutputBudget(1000, 100, 1000))
    execution.emit(Stdout("a\n"))
    execution.emit(Error("E", "1"))
    execution.emit(ExecutionCount(1))
    execution.emit(Stdout("b\n"))
    assert types(execution) == ["init", "stdout", "error", "execution_count", "stdout"]


def test_whether_text_would_go_to_the_journal_whole(tmp_path: Path) -> None:
    execution = started(tmp_path, OutputBudget(1000, 100, 1000))
    assert execution.would_journal("x" * 836)
    assert not execution.would_journal("x" * 837)
    execution.emit(Stdout("x" * 837))
    assert not execution.would_journal("")
