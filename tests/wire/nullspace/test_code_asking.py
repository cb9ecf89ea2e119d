"""What code, contexts and runs asked for in Nullspace's words mean, and how runs are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execd.errors import InvalidRequest
from execd.events import Complete, Error, Reason, Status
from execd.kernel.request import ExecuteRequest
from execd.service.execution import Execution, Origin
from execd.settings import Settings
from execd.wire.nullspace.code_asking import folder_of, language_of, wanted
from execd.wire.nullspace.code_schemas import ExecuteBody, NewCodeContext, NewRun
from execd.wire.nullspace.run_bodies import run_body
from tests.service.stage import Clock, new_execution

SETTINGS = Settings(keep_executions_age=10)


@pytest.mark.parametrize(
    ("given", "meant"), [("python3", "python"), ("python", "python"), ("bash", "bash"), ("r", "r")]
)
def test_languages(given: str, meant: str) -> None:
    assert language_of(given) == meant


def test_the_default_language() -> None:
    assert NewCodeContext().language == ExecuteBody(code="").language == "python3"


FOLDERS = {
    "/": "/",
    "/workspace": "/workspace",
    "/workspace/a/../b/": "/workspace/b",
    "//data/./x": "/data/x",
    "/workspace/.nullspaces": "/workspace/.nullspaces",
    "/workspace/x/.nullspace": "/workspace/x/.nullspace",
}


@pytest.mark.parametrize(("given", "meant"), FOLDERS.items())
def test_folders(given: str, meant: str) -> None:
    assert folder_of(given, "/workspace") == meant


@pytest.mark.parametrize(
    "given",
    [
        "",
        "x",
        "./x",
        "~",
        "/workspace/.nullspace",
        "/workspace/a/../.nullspace/x",
        "//workspace/.nullspace",
        "/w/.nullspace",
    ],
)
def test_folders_that_may_not_be(given: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^cwd: "):
        folder_of(given, "/w")


@pytest.mark.parametrize(("given", "limit"), [(None, None), (5, 5.0)])
def test_runs(given: int | None, limit: float | None) -> None:
    request = wanted(NewRun(code="1", context_id="ctx_1", timeout=given, envs={"A": "b"}))
    assert request == ExecuteRequest("1", limit, envs={"A": "b"})


@pytest.mark.parametrize(
    "given",
    [{}, {"code": 1}, {"code": "1", "timeout": 0}, {"code": "1", "timeout": 1.5}, {"code": "1", "envs": {"A": 1}}],
)
def test_bodies_that_cannot_be_meant(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        ExecuteBody.model_validate(given)
    with pytest.raises(ValueError, match="validation error"):
        NewRun.model_validate({"context_id": "ctx_1", **given})


def test_a_run_needs_a_context() -> None:
    with pytest.raises(ValueError, match="context_id"):
        NewRun.model_validate({"code": "1"})


class Told:
    """A run of a sandbox, whose clock the test sets, and how it is shown."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock(1_000)
        self.execution: Execution = new_execution(folder, clock=self.clock, timeout=1.5)
        self.execution.origin = Origin(self.execution.id, "ctx_1", "python", "sb_abc")
        self.execution.sandbox_id = "sb_abc"

    def at(self, now: int) -> Execution:
        self.clock.now = now
        return self.execution

    def shown(self, *names: str) -> dict[str, Any]:
        body = run_body(self.execution, SETTINGS)
        return {name: body.get(name, "-") for name in names}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def second(number: int) -> str:
    """A moment."""
    return f"1970-01-01T00:00:{number:02}.000Z"


MOMENTS = ("status", "created_at", "started_at", "cancel_requested_at", "completed_at", "expires_at")


def moments(told: Told) -> list[Any]:
    """Status and times, as numbers of seconds."""
    shown = told.shown(*MOMENTS)
    return [shown["status"], *(value if value == "-" else int(value[17:19]) for value in list(shown.values())[1:])]


def test_who_it_is(told: Told) -> None:
    shown = told.shown("id", "sandbox_id", "machine_id", "context_id", "timeout_secs", "failure_reason", "execution")
    assert list(shown.values()) == [told.execution.id, "sb_abc", "mch_abc", "ctx_1", 2, "-", "-"]
    assert told.shown("created_at") == {"created_at": second(1)}


def test_times_of_a_success(told: Told) -> None:
    assert moments(told) == ["queued", 1, "-", "-", "-", 11]
    told.at(2_000).start()
    assert moments(told) == ["running", 1, 2, "-", "-", 11]
    told.at(3_000).finish(Complete(Status.SUCCEEDED))
    assert moments(told) == ["succeeded", 1, 2, "-", 3, 13]


def test_times_of_one_that_is_cancelled_while_it_waits(told: Told) -> None:
    told.at(2_000).cancel()
    told.at(3_000).finish(Complete(Status.CANCELLED))
    assert moments(told) == ["cancelled", 1, "-", 2, 3, 13]


def test_times_of_one_that_is_cancelled_while_it_runs(told: Told) -> None:
    told.at(2_000).start()
    told.at(3_000).cancel()
    assert moments(told) == ["running", 1, 2, 3, "-", 11]
    told.at(4_000).finish(Complete(Status.CANCELLED))
    assert moments(told) == ["cancelled", 1, 2, 3, 4, 14]
    told.at(5_000).cancel()
    assert moments(told) == ["cancelled", 1, 2, 3, 4, 14]


def test_times_never_go_backwards(told: Told) -> None:
    told.at(9_000).start()
    told.at(8_000).cancel()
    told.at(7_000).finish(Complete(Status.CANCELLED))
    assert moments(told) == ["cancelled", 1, 9, 9, 9, 19]


def test_a_failure_has_its_reason(told: Told) -> None:
    told.execution.start()
    told.execution.fail(Reason.TIMEOUT, Error("TimeoutError", "too long"))
    assert told.shown("status", "failure_reason") == {"status": "failed", "failure_reason": "timeout: too long"}
