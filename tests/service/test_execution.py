"""An execution's life, without a kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.events import Complete, Error, ExecutionCount, Init, InputRequest, Reason, Result, Status, Stdout, encode
from execd.kernel.request import ExecuteRequest
from execd.service.budget import OutputBudget
from execd.service.execution import Execution, IllegalTransition, Origin, may_follow
from execd.service.journal import Journal
from tests.service.journal_model import MemoryShelf, now, small_bounds
from tests.service.stage import Clock, ending, events_of, new_execution, types_of

FOLLOWS = {
    "queued": {"awaiting_approval", "running", "failed", "cancelled", "rejected"},
    "awaiting_approval": {"queued", "running", "succeeded", "failed", "cancelled", "rejected"},
    "running": {"awaiting_approval", "succeeded", "failed", "cancelled", "rejected"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
    "rejected": set(),
}
DONE = Complete(Status.SUCCEEDED)


@pytest.mark.parametrize("before", Status)
@pytest.mark.parametrize("after", Status)
def test_which_status_may_follow_which(before: Status, after: Status) -> None:
    assert may_follow(before, after) is (after.value in FOLLOWS[before.value])


def test_a_status_is_terminal_if_nothing_follows() -> None:
    assert {status for status in Status if status.terminal} == {status for status in Status if not FOLLOWS[status]}


def test_a_life_without_waiting(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    statuses = [execution.status]
    execution.wait_in_line(0)
    execution.start()
    statuses.append(execution.status)
    execution.emit(Stdout("x"))
    execution.finish(DONE)
    assert [*statuses, execution.status] == [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED]
    assert execution.ended.is_set()
    assert types_of(execution) == ["init", "stdout", "execution_complete"]


def test_a_life_in_line(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    for position in (2, 2, 1):
        execution.wait_in_line(position)
        assert execution.position == position
    execution.start()
    assert execution.position == 0
    execution.finish(DONE)
    assert [(event["type"], event.get("text"), event.get("position")) for event in events_of(execution)[1:-1]] == [
        ("status", "queued", 2),
        ("status", "queued", 1),
        ("status", "running", None),
    ]


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.QUEUED])
def test_a_run_that_never_ran_cannot_end_like_this(tmp_path: Path, status: Status) -> None:
    execution = new_execution(tmp_path)
    with pytest.raises(IllegalTransition):
        execution.finish(Complete(status))
    assert types_of(execution) == ["init"]


def test_there_is_one_end(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    execution.finish(DONE)
    with pytest.raises(IllegalTransition):
        execution.finish(DONE)
    with pytest.raises(IllegalTransition):
        execution.start()
    assert types_of(execution) == ["init", "execution_complete"]


def test_a_failure_is_shown_before_the_end(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.fail(Reason.KERNEL_DIED, Error("KernelFailed", "why"))
    assert types_of(execution) == ["init", "status:error", "error", "execution_complete"]
    assert ending(execution) == ("failed", "kernel_died")


def test_the_record_notes_what_the_events_say(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    execution.emit(ExecutionCount(7))
    execution.emit(Error("E", "first"))
    execution.emit(Error("E", "last"))
    execution.finish(Complete(Status.FAILED, Reason.ERROR))
    assert (execution.execution_count, execution.error, execution.complete) == (
        7,
        Error("E", "last"),
        Complete(Status.FAILED, Reason.ERROR),
    )


class TestInput:
    def test_it_waits_from_the_request_on_whatever_else_is_printed(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        assert not execution.awaiting_input
        execution.emit(InputRequest("?", password=False))
        execution.emit(Stdout("a thread prints\n"))
        assert execution.awaiting_input

    def test_an_ended_one_waits_for_nothing(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.emit(InputRequest("?", password=False))
        execution.finish(DONE)
        assert not execution.awaiting_input
        execution.emit(InputRequest("?", password=False))
        assert not execution.awaiting_input


class TestTimes:
    def test_they_never_go_backwards(self, tmp_path: Path) -> None:
        clock = Clock(1000)
        execution = new_execution(tmp_path, clock=clock)
        clock.now = 500
        execution.start()
        clock.now = 100
        execution.finish(DONE)
        assert (execution.created_at, execution.started_at, execution.finished_at) == (1000, 1000, 1000)
        assert {event["timestamp"] for event in events_of(execution)} == {1000}

    def test_they_are_the_clocks(self, tmp_path: Path) -> None:
        clock = Clock(1000)
        execution = new_execution(tmp_path, clock=clock)
        clock.now = 1100
        execution.start()
        clock.now = 1350
        execution.finish(DONE)
        assert (execution.started_at, execution.finished_at) == (1100, 1350)

    def test_how_long_it_took_is_not_the_wall_clock_s_business(self, tmp_path: Path) -> None:
        clock, stopwatch = Clock(1000), Clock(7)
        execution = new_execution(tmp_path, clock=clock, stopwatch=stopwatch)
        stopwatch.now = 50
        assert execution.elapsed_ms() == 0
        execution.start()
        clock.now, stopwatch.now = 3_600_000, 300
        assert execution.elapsed_ms() == 250
        execution.finish(DONE)
        stopwatch.now = 9999
        assert execution.elapsed_ms() == 250

    def test_one_that_never_ran_took_no_time(self, tmp_path: Path) -> None:
        clock = Clock(1000)
        execution = new_execution(tmp_path, clock=clock)
        clock.now = 2000
        execution.finish(Complete(Status.CANCELLED))
        assert (execution.started_at, execution.finished_at, execution.elapsed_ms()) == (None, 2000, 0)


class TestLateOutput:
    def test_it_is_marked_and_does_not_change_the_record(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.finish(DONE)
        execution.emit(Stdout("late"))
        execution.emit(Error("E", "late"))
        assert [event.get("late") for event in events_of(execution)] == [None, None, True, True]
        assert execution.error is None

    def test_it_is_bounded(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.finish(DONE)
        for _ in range(100):
            execution.emit(Stdout("x" * 10_000))
            execution.emit(Result({"image/png": "y" * 10_000}, {}))
        size = execution.journal.size
        assert 200_000 < size < 300_000
        for _ in range(10_000):
            execution.emit(Stdout(""))
        assert execution.journal.size < size + 300_000


def test_the_tail_comes_before_the_end(tmp_path: Path) -> None:
    journal = Journal()
    execution = Execution.new(
        Origin("run_1", None, "command"), ExecuteRequest(""), journal, OutputBudget(1000, 300, 0), lambda _: None
    )
    execution.start()
    for number in range(99):
        execution.emit(Stdout(f"line {number:02}\n"))
    execution.finish(DONE)
    kinds = types_of(execution)
    assert kinds[-3:] == ["truncated", "stdout", "execution_complete"]
    assert events_of(execution)[-2]["text"].endswith("line 98\n")


def test_a_full_disk_costs_the_middle_of_the_output_and_not_the_run(tmp_path: Path) -> None:
    with small_bounds():
        shelf = MemoryShelf(room=0)
        journal = Journal(shelf)
        execution = Execution.new(
            Origin("run_1", None, "command"),
            ExecuteRequest(""),
            journal,
            OutputBudget(1 << 30, 4096, 1 << 30),
            lambda _: None,
        )
        execution.start()
        for number in range(2000):
            execution.emit(Stdout(f"line {number}\n" + "x" * 80 + "\n"))
            execution.emit(Result({"text/plain": "y" * 80}, {}))
            shelf.take(journal)
        execution.finish(DONE)
        shelf.take(journal)
    kinds = types_of(execution)
    assert kinds[0] == "init"
    assert kinds[-1] == "execution_complete"
    assert kinds.count("truncated") == 2
    assert journal.in_memory < 20_000
    assert "line 1999" in next(event["text"] for event in reversed(events_of(execution)) if event["type"] == "stdout")


def test_the_first_record_names_it(tmp_path: Path) -> None:
    clock = Clock(5)
    execution = new_execution(tmp_path, clock=clock)
    assert now(execution.journal.read(0)).records == [encode(Init(execution.id, "ctx_1"), 1, 5)]
    assert repr(execution) == f"<Execution {execution.id} queued in ctx_1, 1 events>"


async def test_it_is_followed_to_its_end(tmp_path: Path) -> None:
    execution = new_execution(tmp_path)
    execution.start()
    execution.finish(DONE)
    assert [found.first async for found in execution.follow(1)] == [2]


class TestApproval:
    def test_it_waits_before_it_starts(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.park()
        assert (execution.status, execution.parked.is_set()) == (Status.AWAITING_APPROVAL, True)
        execution.resume()
        assert (execution.status, execution.parked.is_set()) == (Status.QUEUED, False)
        execution.start()
        execution.finish(DONE)
        assert types_of(execution) == ["init", "status:awaiting_approval", "status:queued", "execution_complete"]

    def test_in_the_middle_its_time_stands_still(self, tmp_path: Path) -> None:
        stopwatch = Clock(0)
        execution = new_execution(tmp_path, stopwatch=stopwatch)
        changes: list[tuple[Status, int]] = []
        execution.clock_changed = lambda: changes.append((execution.status, execution.parked_ms()))
        execution.park()
        stopwatch.now += 1000
        execution.resume()
        execution.start()
        assert execution.parked_ms() == 0
        for waited in (20, 300):
            stopwatch.now += 5
            execution.park()
            stopwatch.now += waited
            execution.resume()
        assert execution.parked_ms() == 320
        assert [(status.value, parked) for status, parked in changes[2:]] == [
            ("awaiting_approval", 0),
            ("running", 20),
            ("awaiting_approval", 20),
            ("running", 320),
        ]

    @pytest.mark.parametrize(
        ("complete", "status", "reason"),
        [
            (Complete(Status.SUCCEEDED), "rejected", None),
            (Complete(Status.FAILED, Reason.ERROR), "rejected", None),
            (Complete(Status.FAILED, Reason.TIMEOUT), "failed", "timeout"),
            (Complete(Status.FAILED, Reason.KERNEL_DIED), "failed", "kernel_died"),
            (Complete(Status.CANCELLED), "cancelled", None),
        ],
    )
    def test_what_was_rejected_ends_so(
        self, tmp_path: Path, complete: Complete, status: str, reason: str | None
    ) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.rejected = True
        execution.finish(complete)
        assert ending(execution) == (status, reason)
        assert execution.status.value == status

    def test_a_listener_hears_of_everything_before_it_is_journaled(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        heard: list[tuple[str, int]] = []
        execution.listener = lambda event: heard.append((event.type, execution.journal.last_seq))
        execution.start()
        execution.emit(Stdout("x"))
        execution.finish(DONE)
        assert heard == [("stdout", 1), ("execution_complete", 2)]

    def test_it_belongs_where_it_is_placed(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.settle("sb_2", "ctx_2")
        assert (execution.sandbox_id, execution.origin.sandbox_id) == ("sb_2", "sb_2")
        assert (execution.context_id, execution.origin.context_id) == ("ctx_2", "ctx_2")


class TestNumber:
    def test_what_no_event_has_told_the_end_does(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.number(4)
        assert execution.execution_count == 4
        execution.finish(Complete(Status.SUCCEEDED))
        assert events_of(execution)[-1]["execution_count"] == 4

    def test_what_an_event_has_told_it_does_not(self, tmp_path: Path) -> None:
        execution = new_execution(tmp_path)
        execution.start()
        execution.emit(ExecutionCount(4))
        execution.number(5)
        execution.finish(Complete(Status.SUCCEEDED))
        assert execution.execution_count == 4
        assert "execution_count" not in events_of(execution)[-1]

    @pytest.mark.parametrize("nothing", [None, "4", 1.5])
    def test_what_is_no_number_is_none(self, tmp_path: Path, nothing: object) -> None:
        execution = new_execution(tmp_path)
        execution.number(nothing)
        assert execution.execution_count is None
