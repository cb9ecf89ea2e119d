"""Baponi's words for how a run stands and how it ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from execd.events import Complete, Error, Reason, Status
from execd.service.execution import Execution
from execd.service.transcript import Transcript
from execd.wire.baponi.outcome import ENDS, Outcome, detail_of, shown
from execd.wire.baponi.rules import Mode
from tests.service.stage import new_execution

NOTHING = Transcript("", "", "")
# The client waits for ever for any other.
KNOWN = {"running", "success", "failed", "timeout", "cancelled", "blocked", "oom"}


def ended(folder: Path, complete: Complete, error: Error | None = None) -> Execution:
    """An execution that has ended like this."""
    execution = new_execution(folder)
    execution.start()
    if error is not None:
        execution.emit(error)
    execution.finish(complete)
    return execution


def test_every_status_and_every_reason_has_a_word() -> None:
    possible = {(status, None) for status in Status if status is not Status.FAILED}
    assert set(ENDS) == possible | {(Status.FAILED, reason) for reason in Reason}
    assert {word for word, _ in ENDS.values()} <= KNOWN
    # "running" is what the client asks again after.
    assert {status for (status, _), (word, _) in ENDS.items() if word == "running"} == {
        status for status in Status if not status.terminal
    }


@pytest.mark.parametrize(
    ("complete", "error", "outcome"),
    [
        (Complete(Status.SUCCEEDED, exit_code=0), None, Outcome("success", 0, None)),
        (Complete(Status.FAILED, Reason.ERROR, exit_code=3), None, Outcome("failed", 3, None)),
        (Complete(Status.FAILED, Reason.ERROR, exit_code=-11), None, Outcome("failed", 139, None)),
        (Complete(Status.FAILED, Reason.TIMEOUT, exit_code=-9), None, Outcome("timeout", 137, "timeout")),
        (Complete(Status.FAILED, Reason.OOM, exit_code=-9), None, Outcome("oom", 137, "memory_limit_exceeded")),
        (Complete(Status.FAILED, Reason.SANDBOX_LOST), None, Outcome("failed", -1, "sandbox_lost")),
        (Complete(Status.CANCELLED, exit_code=-9), None, Outcome("cancelled", 137, "Cancelled by user")),
        (
            Complete(Status.FAILED, Reason.ERROR),
            Error("E", "python: No such file or directory"),
            Outcome("failed", -1, "Language 'python' not available in this image"),
        ),
        (
            Complete(Status.FAILED, Reason.ERROR),
            Error("E", "too many processes"),
            Outcome("failed", -1, "the program could not be started: too many processes"),
        ),
    ],
)
def test_how_it_ended(tmp_path: Path, complete: Complete, error: Error | None, outcome: Outcome) -> None:
    assert Outcome.of(ended(tmp_path, complete, error)) == outcome


def test_a_result_has_no_nulls_where_clients_have_none(tmp_path: Path) -> None:
    result = Outcome.of(ended(tmp_path, Complete(Status.FAILED, Reason.SANDBOX_LOST))).result(NOTHING)
    assert result.model_dump() == {
        "success": False,
        "stdout": "",
        "stderr": "",
        "exit_code": -1,
        "error": "sandbox_lost",
    }


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    body = shown(execution, None)
    assert (body.status, body.exit_code, body.stdout, body.stderr, body.error) == ("running", None, None, None, None)
    assert (body.duration_ms, body.completed_at, body.delivery_mode) == (0, None, "inline")
    assert body.created_at.endswith("Z")


def test_a_webhook_waits_for_its_delivery(tmp_path: Path) -> None:
    assert detail_of(Mode.WEBHOOK, "t", {"a": "b"}) == {"mode": "webhook", "thread_id": "t", "metadata": {"a": "b"}}
    execution = new_execution(tmp_path)
    assert (shown(execution, None).webhook_url, shown(execution, None).webhook_delivery_status) == (None, None)
    execution.origin = replace(execution.origin, webhook_url="https://h/")
    execution.webhook_delivery = "failed"
    assert (shown(execution, None).webhook_url, shown(execution, None).webhook_delivery_status) == (
        "https://h/",
        "failed",
    )
