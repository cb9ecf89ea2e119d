"""Which executions are code runs, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.errors import ExecutionNotFound
from execd.events import Complete, Error, Reason, Status
from execd.kernel.request import ExecuteRequest
from execd.service.code_runs import CodeRuns, failure_reason, kept_until
from execd.service.execution import Origin
from execd.service.executions import Executions
from execd.service.meters import Meters
from execd.service.recorder import recording
from execd.settings import Settings
from execd.store.executions import Wanted
from execd.store.store import Store
from tests.service.stage import Clock, new_execution

REASONS: list[tuple[Complete, Error | None, str | None]] = [
    (Complete(Status.SUCCEEDED), None, None),
    (Complete(Status.CANCELLED), Error("KeyboardInterrupt", ""), None),
    (Complete(Status.FAILED, Reason.ERROR), Error("KeyError", "'x'"), "error: KeyError: 'x'"),
    (Complete(Status.FAILED, Reason.ERROR), None, "error: the run failed"),
    (Complete(Status.FAILED, Reason.TIMEOUT), Error("TimeoutError", "too long"), "timeout: too long"),
    (Complete(Status.FAILED, Reason.OOM), Error("OutOfMemory", "no memory"), "oom: no memory"),
    (Complete(Status.FAILED), Error("E", "e"), "error: E: e"),
]


@pytest.mark.parametrize(("complete", "error", "reason"), REASONS)
def test_reasons(tmp_path: Path, complete: Complete, error: Error | None, reason: str | None) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    if error is not None:
        execution.emit(error)
    assert failure_reason(execution) is None
    execution.finish(complete)
    assert failure_reason(execution) == reason


def test_a_reason_is_a_sentence_and_no_novel(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    execution.fail(Reason.ERROR, Error("E", "x" * 5000))
    assert len(failure_reason(execution) or "") < 1100


def test_it_is_kept_from_its_end_on(tmp_path: Path) -> None:
    clock = Clock(1_000)
    execution = new_execution(tmp_path, clock=clock)
    settings = Settings(keep_executions_age=10)
    assert kept_until(execution, settings) == 11_000
    execution.start()
    clock.now = 5_000
    assert kept_until(execution, settings) == 11_000
    execution.finish(Complete(Status.SUCCEEDED))
    assert kept_until(execution, settings) == 15_000


async def test_commands_and_sessions_are_none(store: Store) -> None:
    async with recording(store) as recorder:
        executions = Executions(Settings(), recorder, Meters()).of("sb_1")
        for identity, context_id in (("run_1", "ctx_1"), ("cmd_1", None), ("run_2", "f00"), ("run_3", "ctxx1")):
            await executions.new(ExecuteRequest("1"), Origin(identity, context_id, "python", dialect=identity))
        runs = CodeRuns(executions)
        assert [run.id for run in (await runs.page(Wanted(), 10)).items] == ["run_1"]
        assert (await runs.get("run_1")).id == "run_1"
        for other in ("cmd_1", "run_2", "run_3", "run_4"):
            with pytest.raises(ExecutionNotFound):
                await runs.get(other)
