"""One run: what is decided when, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from execd.events import Artifact, Error, Event, Reason, Status
from execd.kernel.ladder import Rung
from execd.service import run as module
from execd.service.harvest import NO_HARVESTS, Harvest
from execd.service.run import (
    HALF_ENDED_PATIENCE,
    Cause,
    Climb,
    Decision,
    Ending,
    Facts,
    Finish,
    Run,
    Wait,
    decide,
    ending_of,
)
from tests.kernel.fake_kernel import ENDED, SCRIPTS, STARTED, FakeKernel, code_of
from tests.service.stage import ending, events_of, new_execution, types_of

CANCEL, TIMEOUT = Cause.CANCEL, Cause.TIMEOUT
PATIENCE = HALF_ENDED_PATIENCE


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        ({}, Wait(100)),
        ({"now": 99.9}, Wait(100)),
        ({"now": 100}, Climb(TIMEOUT)),
        ({"now": 200}, Climb(TIMEOUT)),
        ({"cancel_requested": True}, Climb(CANCEL)),
        ({"cancel_requested": True, "now": 200}, Climb(CANCEL)),
        ({"begin_by": 3}, Wait(100)),
        ({"begin_by": 3, "cancel_requested": True}, Wait(3)),
        ({"begin_by": 3, "cancel_requested": True, "now": 3}, Climb(CANCEL)),
        ({"begin_by": 103, "now": 101}, Wait(103)),
        ({"begin_by": 103, "now": 103}, Climb(TIMEOUT)),
        ({"begin_by": 3, "ended": True, "cancel_requested": True}, Finish()),
        ({"begin_by": 3, "dead": True}, Finish()),
        ({"ended": True}, Finish()),
        ({"ended": True, "now": 200}, Finish()),
        ({"ended": True, "cancel_requested": True}, Finish()),
        ({"dead": True}, Finish()),
        ({"dead": True, "cause": CANCEL, "rung_until": 5}, Finish()),
        ({"half_ended_since": 10, "now": 10}, Wait(10 + PATIENCE)),
        ({"half_ended_since": 10, "now": 10 + PATIENCE}, Finish()),
        ({"half_ended_since": 10, "now": 11, "cancel_requested": True}, Wait(10 + PATIENCE)),
        ({"half_ended_since": 10, "now": 11, "cause": TIMEOUT, "rung_until": 5}, Wait(10 + PATIENCE)),
        ({"half_ended_since": 99, "now": 101}, Wait(99 + PATIENCE)),
        ({"cause": CANCEL, "rung_until": 5, "now": 4.9}, Wait(5)),
        ({"cause": CANCEL, "rung_until": 5, "now": 5}, Climb(CANCEL)),
        ({"cause": TIMEOUT, "rung_until": 5, "now": 6, "cancel_requested": True}, Climb(TIMEOUT)),
        ({"cause": CANCEL, "rung_until": 50, "now": 200}, Climb(CANCEL)),
        ({"cause": CANCEL, "rung_until": None, "now": 200}, Wait(None)),
    ],
)
def test_what_is_done_next(facts: dict[str, Any], decision: Decision) -> None:
    assert decide(Facts(**{"now": 0, "deadline": 100, **facts})) == decision


OK: dict[str, Any] = {"status": "ok"}
BAD: dict[str, Any] = {"status": "error", "ename": "E", "evalue": "e", "traceback": ["t"]}
SHOWN = Error("KeyboardInterrupt", "", ("frame",))
DIED = "by signal 9 (SIGKILL)"
KEPT = "the run exceeded its time limit of 2.5 s; it was interrupted, and the context keeps its variables"
GONE = "its kernel did not survive being stopped, and the context's variables are lost"
KILLED = f"the kernel ended {DIED} while the code ran; output so far is kept, variables are lost"
FAILED, TIMED_OUT, CANCELLED = (Status.FAILED, Reason.ERROR), (Status.FAILED, Reason.TIMEOUT), (Status.CANCELLED, None)
NO_TIME = "the run exceeded its time limit of 2.5 s"


@pytest.mark.parametrize(
    ("cause", "died", "reply", "raised", "ends"),
    [
        (None, None, OK, None, Ending(Status.SUCCEEDED)),
        (None, None, OK, SHOWN, Ending(Status.SUCCEEDED)),
        (None, None, BAD, SHOWN, Ending(*FAILED)),
        (None, None, BAD, None, Ending(*FAILED, Error("E", "e", ("t",)))),
        (None, None, {"status": "aborted"}, None, Ending(*FAILED, Error("Error", ""))),
        (None, None, {}, None, Ending(*FAILED, Error("Error", ""))),
        (None, None, {**BAD, "traceback": 7}, None, Ending(*FAILED, Error("Error", "the kernel failed to say which"))),
        (None, None, None, None, Ending(Status.SUCCEEDED)),
        (None, None, None, SHOWN, Ending(*FAILED)),
        (None, DIED, None, None, Ending(Status.FAILED, Reason.KERNEL_DIED, Error("KernelDied", KILLED))),
        (None, DIED, OK, SHOWN, Ending(Status.FAILED, Reason.KERNEL_DIED, Error("KernelDied", KILLED))),
        (CANCEL, None, BAD, SHOWN, Ending(*CANCELLED)),
        (CANCEL, None, OK, None, Ending(*CANCELLED)),
        (CANCEL, DIED, None, None, Ending(*CANCELLED, Error("KeyboardInterrupt", f"cancelled; {GONE}"))),
        (TIMEOUT, None, BAD, SHOWN, Ending(*TIMED_OUT, Error("TimeoutError", KEPT, ("frame",)))),
        (TIMEOUT, None, OK, None, Ending(*TIMED_OUT, Error("TimeoutError", KEPT))),
        (TIMEOUT, DIED, None, None, Ending(*TIMED_OUT, Error("TimeoutError", f"{NO_TIME}; {GONE}"))),
    ],
)
def test_how_it_ends(
    cause: Cause | None, died: str | None, reply: dict[str, Any] | None, raised: Error | None, ends: Ending
) -> None:
    assert ending_of(cause, 2.5, died, reply, raised) == ends


def test_a_kernel_that_had_no_memory_left_ends_so() -> None:
    ends = ending_of(None, 2.5, DIED, None, None, oom=True)
    assert (ends.status, ends.reason) == (Status.FAILED, Reason.OOM)
    assert ends.error is not None
    assert "no memory left" in ends.error.evalue
    assert ending_of(TIMEOUT, 2.5, DIED, None, None, oom=True).reason is Reason.TIMEOUT


class Basket:
    """A harvest of one event, which notes what it has seen."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.began, self.may_end = anyio.Event(), anyio.Event()
        self.may_end.set()

    def see(self, event: Event, seq: int) -> None:
        self.seen.append((event.type, seq))

    async def gather(self) -> list[Event]:
        self.began.set()
        with anyio.CancelScope(shield=True):
            await self.may_end.wait()
        return [Artifact({"id": "art_1"})]

    def close(self) -> None:
        pass


class Running:
    """A run of a fake kernel, to be carried out."""

    def __init__(self, folder: Path, code: str, timeout: float = 1000, harvest: Harvest = NO_HARVESTS) -> None:
        self.kernel = FakeKernel()
        self.execution = new_execution(folder, code)
        self.execution.start()
        self.run = Run(self.execution, self.kernel, timeout, 0.01, harvest)

    async def carry_out(self) -> Running:
        with anyio.fail_after(20):
            await self.run.carry_out()
        return self

    @property
    def rung(self) -> str | None:
        complete = self.execution.complete
        assert complete is not None
        return complete.interruption.rung if complete.interruption else None


@pytest.mark.parametrize(
    ("name", "types", "ends"),
    [
        ("silent", [], ("succeeded", None)),
        ("result", ["execution_count", "result"], ("succeeded", None)),
        ("streams", ["stdout", "stderr"], ("succeeded", None)),
        ("error", ["status:error", "error"], ("failed", "error")),
        ("syntax", ["status:error", "error"], ("failed", "error")),
        ("display", ["result", "update_display_data", "clear_output"], ("succeeded", None)),
        ("exit", [], ("succeeded", None)),
    ],
)
async def test_recorded_cells(tmp_path: Path, name: str, types: list[str], ends: tuple[str, str | None]) -> None:
    running = await Running(tmp_path, code_of(name)).carry_out()
    assert types_of(running.execution) == ["init", *types, "execution_complete"]
    assert ending(running.execution) == ends
    assert running.run.kernel_exits is (name == "exit")
    last = events_of(running.execution)[-1]
    assert (last["cpu_seconds"], last["peak_memory_bytes"]) == (0.0, 4096)
    assert "interruption" not in last


RUNGS = [
    ("until interrupt", Rung.INTERRUPT),
    ("until nudge", Rung.NUDGE),
    ("until interrupt_again", Rung.INTERRUPT_AGAIN),
    ("hang", Rung.KILL),
]


@pytest.mark.parametrize(("code", "rung"), RUNGS)
async def test_cancelling_takes_as_many_rungs_as_it_needs(tmp_path: Path, code: str, rung: Rung) -> None:
    running = Running(tmp_path, code)
    running.execution.cancel()
    await running.carry_out()
    lost = rung is Rung.KILL
    assert ending(running.execution) == ("cancelled", None)
    assert running.rung == rung
    assert events_of(running.execution)[-1]["interruption"]["state"] == ("lost" if lost else "kept")
    assert types_of(running.execution) == ["init", "status:error", "error", "execution_complete"]
    assert running.kernel.alive is not lost


@pytest.mark.parametrize(("code", "rung"), RUNGS)
async def test_a_time_limit_shows_as_one_error(tmp_path: Path, code: str, rung: Rung) -> None:
    running = await Running(tmp_path, code, timeout=0).carry_out()
    assert ending(running.execution) == ("failed", "timeout")
    assert running.rung == rung
    assert types_of(running.execution) == ["init", "status:error", "error", "execution_complete"]
    error = events_of(running.execution)[-2]["error"]
    assert error["ename"] == "TimeoutError"
    assert bool(error["traceback"]) is (rung is not Rung.KILL)


async def test_a_run_that_was_over_at_once_is_not_timed_out(tmp_path: Path) -> None:
    running = await Running(tmp_path, "x = 1", timeout=0).carry_out()
    assert ending(running.execution) == ("succeeded", None)


async def test_a_dead_kernel_ends_it_with_its_last_words(tmp_path: Path) -> None:
    running = Running(tmp_path, "die")
    running.kernel.die(-11)
    await running.carry_out()
    assert ending(running.execution) == ("failed", "kernel_died")
    shown = events_of(running.execution)
    assert [event["text"] for event in shown if event["type"] == "stdout"] == ["so far\n", "last words\n"]
    assert "by signal 11 (SIGSEGV)" in shown[-2]["error"]["evalue"]
    assert shown[-1]["exit_code"] == -11
    assert "peak_memory_bytes" not in shown[-1]


@pytest.mark.parametrize(("missing", "ends"), [(0, ("succeeded", None)), (1, ("succeeded", None))])
async def test_one_end_is_enough_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int, ends: tuple[str, str | None]
) -> None:
    monkeypatch.setattr(module, "HALF_ENDED_PATIENCE", 0.01)
    monkeypatch.setitem(SCRIPTS, "half", [*STARTED, ENDED[1 - missing]])
    running = await Running(tmp_path, "half").carry_out()
    assert ending(running.execution) == ends


async def test_what_is_gathered_stands_between_the_output_and_the_end(tmp_path: Path) -> None:
    basket = Basket()
    running = await Running(tmp_path, code_of("error"), harvest=basket).carry_out()
    assert types_of(running.execution)[-3:] == ["error", "artifact", "execution_complete"]
    events = events_of(running.execution)
    assert basket.seen
    assert all(events[seq - 1]["type"] == kind for kind, seq in basket.seen)


async def test_the_error_of_a_run_that_was_stopped_comes_before_what_was_gathered(tmp_path: Path) -> None:
    running = await Running(tmp_path, code_of("sleep"), timeout=0, harvest=Basket()).carry_out()
    assert types_of(running.execution)[-3:] == ["error", "artifact", "execution_complete"]


async def test_what_is_being_gathered_is_journaled_even_if_the_context_goes_away(tmp_path: Path) -> None:
    basket = Basket()
    basket.may_end = anyio.Event()
    running = Running(tmp_path, code_of("result"), harvest=basket)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.carry_out)
            await basket.began.wait()
            tasks.cancel_scope.cancel()
            basket.may_end.set()
    assert types_of(running.execution)[-2:] == ["artifact", "execution_complete"]
    assert ending(running.execution) == ("succeeded", None)


async def test_gathering_is_no_part_of_how_long_it_took(tmp_path: Path) -> None:
    now = 0

    class Slow(Basket):
        async def gather(self) -> list[Event]:
            nonlocal now
            now = 5000
            return await super().gather()

    running = Running(tmp_path, code_of("result"), harvest=Slow())
    running.execution._stopwatch, running.execution._began = (lambda: now), 0
    await running.carry_out()
    assert running.execution.complete is not None
    assert running.execution.complete.duration_ms == 0


async def test_the_time_limit_stands_still_while_a_run_waits_for_an_approval(tmp_path: Path) -> None:
    execution, kernel = new_execution(tmp_path, "hold"), FakeKernel()
    execution.start()
    run = Run(execution, kernel, timeout=10, interrupt_grace=0.01)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.carry_out)
            await anyio.wait_all_tasks_blocked()
            run._deadline -= 10
            execution.park()
            await anyio.wait_all_tasks_blocked()
            assert kernel.heard == []
            execution.resume()
    assert ending(execution) == ("failed", "timeout")
    assert kernel.heard != []
