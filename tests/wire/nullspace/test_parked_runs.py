"""Runs that wait for an approval, or were rejected, as Nullspace's clients see them: they know neither word."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.events import Complete, Error, Status
from execd.service.execution import Execution
from execd.settings import Settings
from execd.wire.nullspace.run_bodies import run_body
from tests.service.stage import new_execution


def before(execution: Execution) -> None:
    execution.park()


def in_the_middle(execution: Execution) -> None:
    execution.start()
    execution.park()


def rejected(execution: Execution) -> None:
    execution.park()
    execution.emit(Error("Rejected", "no"))
    execution.finish(Complete(Status.REJECTED))


@pytest.mark.parametrize(
    ("life", "status", "reason"),
    [(before, "queued", None), (in_the_middle, "running", None), (rejected, "cancelled", "rejected")],
)
def test_a_run(tmp_path: Path, life: object, status: str, reason: str | None) -> None:
    execution = new_execution(tmp_path)
    life(execution)  # type: ignore[operator]
    body = run_body(execution, Settings())
    assert (body["status"], body.get("failure_reason")) == (status, reason)
