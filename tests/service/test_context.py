"""A context: its line, its interrupts, its kernels that come and go. tests/service/test_context_end.py has its end."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from execd.errors import KernelStartFailed, QueueFull
from execd.service import context as module
from execd.service.context import Context
from tests.kernel.fake_kernel import SPEC, FakeKernels, code_of, printed
from tests.service.context_stage import LIMITS, staged
from tests.service.stage import ending, events_of, new_execution, types_of

NEW = KernelStartFailed("python", "no room")


class TestLine:
    async def test_runs_take_their_turns_in_order(self, tmp_path: Path) -> None:
        async with staged(tmp_path, queue=50) as stage:
            executions = [stage.submit(f"x = {number}") for number in range(50)]
            await executions[-1].ended.wait()
            assert stage.kernels.ran == [f"x = {number}" for number in range(50)]
            assert {ending(execution) for execution in executions} == {("succeeded", None)}

    async def test_who_waits_is_told_how_many_are_ahead(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            first = await stage.held()
            second, third = stage.submit("hold"), stage.submit("x = 1")
            assert (second.position, third.position, stage.context.waiting) == (1, 2, 2)
            await stage.release(first)
            await stage.started(second)
            assert third.position == 1
            await stage.release(second)
            await third.ended.wait()
        assert types_of(first) == ["init", "execution_complete"]
        assert types_of(second) == ["init", "status:queued", "status:running", "execution_complete"]
        positions = [event.get("position") for event in events_of(third) if event["type"] == "status"]
        assert positions == [2, 1, None]

    async def test_a_full_line_is_refused_and_nothing_recorded(self, tmp_path: Path) -> None:
        async with staged(tmp_path, queue=2) as stage:
            running = await stage.held()
            for _ in range(2):
                stage.context.check_room()
                stage.submit("x = 1")
            refused = new_execution(tmp_path)
            with pytest.raises(QueueFull, match="already has 2 runs waiting"):
                stage.context.check_room()
            with pytest.raises(QueueFull):
                stage.context.submit(refused)
            assert types_of(refused) == ["init"]
            await stage.release(running)

    async def test_one_that_waits_is_cancelled_without_a_kernel(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            first = await stage.held()
            second, third = stage.submit("never = 1"), stage.submit("x = 1")
            await stage.context.cancel(second)
            assert ending(second) == ("cancelled", None)
            assert third.position == 1
            await stage.release(first)
            await third.ended.wait()
            assert "never = 1" not in stage.kernels.ran
            await stage.context.cancel(third)
            assert ending(third) == ("succeeded", None)

    async def test_state_is_what_it_does(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            assert repr(stage.context) == "<Context ctx_1 python, dormant, 0 waiting>"
            first = await stage.held()
            stage.submit("x = 1")
            assert repr(stage.context) == "<Context ctx_1 python, busy, 1 waiting>"
            assert stage.context.idle_seconds() == 0
            await stage.release(first)
            await stage.run("x = 1")
            await anyio.wait_all_tasks_blocked()
            assert repr(stage.context) == "<Context ctx_1 python, idle, 0 waiting>"
            stage.kernels.last.die()
            assert stage.context.state == "dormant"


class TestInterrupt:
    @pytest.mark.parametrize("rung", ["interrupt", "nudge", "interrupt_again"])
    async def test_what_runs_is_stopped_and_what_waits_goes_on(self, tmp_path: Path, rung: str) -> None:
        async with staged(tmp_path) as stage:
            running = stage.submit(f"until {rung}")
            await stage.started(running)
            waiting = stage.submit("x = 1")
            assert await stage.context.interrupt() is running
            assert ending(running) == ("cancelled", None)
            await waiting.ended.wait()
            assert ending(waiting) == ("succeeded", None)
            assert len(stage.kernels.made) == 1

    async def test_the_last_rung_costs_the_state_and_the_next_run_says_so_once(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            running = stage.submit("hang")
            await stage.started(running)
            await stage.context.interrupt()
            after, later = await stage.run("x = 1"), await stage.run("y = 1")
            assert types_of(after) == ["init", "context_restarted", "execution_complete"]
            restarted = events_of(after)[1]
            assert (restarted["generation"], restarted["why"]) == (2, "its kernel ended by signal 9 (SIGKILL)")
            assert types_of(later) == ["init", "execution_complete"]
            assert stage.context.generation == 2

    async def test_an_idle_context_has_nothing_to_interrupt(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            assert await stage.context.interrupt() is None
            await stage.run("x = 1")
            await anyio.wait_all_tasks_blocked()
            assert await stage.context.interrupt() is None
            assert stage.kernels.last.heard == []

    async def test_a_run_s_own_limit_is_bounded_by_the_service_s(self, tmp_path: Path) -> None:
        async with staged(tmp_path, run_timeout=5, run_timeout_max=10):
            limits = [LIMITS.timeout(asked) for asked in (None, 3.0, 5000.0)]
        assert limits == [1000, 3.0, 1000]

    async def test_a_run_beyond_its_limit_is_stopped(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            execution = await stage.run("until interrupt", timeout=0.001)
            assert ending(execution) == ("failed", "timeout")


class TestInput:
    async def test_a_line_reaches_the_code_that_asked(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            execution = stage.submit(code_of("input"), allow_stdin=True)
            await stage.started(execution)
            waited = [execution.awaiting_input]
            stage.context.answer_input("Ada")
            waited.append(execution.awaiting_input)
            assert waited == [True, False]
            await execution.ended.wait()
            assert ending(execution) == ("succeeded", None)
            assert stage.kernels.last.heard == ["Ada", "input"]

    async def test_nobody_asked(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            stage.context.answer_input("too early")
            await stage.run("x = 1")
            await anyio.wait_all_tasks_blocked()
            stage.context.answer_input("too late")
            assert stage.kernels.last.heard == []


class TestKernel:
    async def test_it_starts_with_the_first_run_in_the_context_s_folder(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await anyio.wait_all_tasks_blocked()
            assert (stage.kernels.made, stage.context.generation) == ([], 0)
            execution = await stage.run("x = 1")
            assert types_of(execution) == ["init", "execution_complete"]
            assert (stage.kernels.folders, stage.context.generation) == ([tmp_path], 1)

    async def test_one_that_dies_ends_its_run_and_no_other(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            dying = stage.submit("die")
            await stage.started(dying)
            waiting = stage.submit("x = 1")
            stage.kernels.last.die(-11)
            await waiting.ended.wait()
            assert ending(dying) == ("failed", "kernel_died")
            assert types_of(dying) == ["init", "stdout", "stdout", "status:error", "error", "execution_complete"]
            assert types_of(waiting)[:3] == ["init", "status:queued", "context_restarted"]
            assert ending(waiting) == ("succeeded", None)

    async def test_one_that_died_while_idle_is_replaced(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("x = 1")
            stage.kernels.last.die(7)
            execution = await stage.run("x")
            assert events_of(execution)[1]["why"] == "its kernel ended with exit code 7"

    async def test_exit_ends_it_after_the_run(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            execution = await stage.run("exit()")
            assert ending(execution) == ("succeeded", None)
            after = await stage.run("x = 1")
            assert events_of(after)[1]["why"] == "the code called exit()"
            assert [kernel.shut_down for kernel in stage.kernels.made] == [True, False]

    async def test_one_that_does_not_start_fails_the_run_and_the_next_tries_again(self, tmp_path: Path) -> None:
        async with staged(tmp_path, NEW) as stage:
            failed, after = await stage.run("x = 1"), await stage.run("y = 1")
            assert ending(failed) == ("failed", "kernel_died")
            assert types_of(failed) == ["init", "status:error", "error", "execution_complete"]
            assert events_of(failed)[2]["error"]["evalue"] == "the python kernel did not start: no room"
            assert types_of(after) == ["init", "execution_complete"]
            assert stage.context.generation == 1

    async def test_a_lost_state_is_told_by_the_first_run_that_runs(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("exit()")
            await anyio.wait_all_tasks_blocked()
            stage.kernels.fail_next(NEW)
            failed, after = await stage.run("x = 1"), await stage.run("y = 1")
            assert "context_restarted" not in types_of(failed)
            assert "context_restarted" in types_of(after)

    @pytest.mark.parametrize("by_context", [True, False])
    async def test_one_cancelled_while_its_kernel_starts_ends_at_once(self, tmp_path: Path, by_context: bool) -> None:
        async with staged(tmp_path) as stage:
            stage.kernels.gate = anyio.Event()
            execution = stage.submit("x = 1")
            await stage.kernels.starting.wait()
            await (stage.context.interrupt() if by_context else stage.context.cancel(execution))
            assert ending(execution) == ("cancelled", None)
            assert await stage.context.interrupt() is None
            after = stage.submit("y = 1")
            stage.kernels.gate.set()
            await after.ended.wait()
            assert types_of(after) == ["init", "execution_complete"]
            assert (stage.kernels.ran, len(stage.kernels.made)) == (["y = 1"], 1)

    async def test_one_cancelled_before_its_kernel_fails_to_start_stays_cancelled(self, tmp_path: Path) -> None:
        async with staged(tmp_path, NEW) as stage:
            stage.kernels.gate = anyio.Event()
            execution = stage.submit("x = 1")
            await stage.kernels.starting.wait()
            await stage.context.cancel(execution)
            stage.kernels.gate.set()
            assert ending(await stage.run("y = 1")) == ("succeeded", None)
            assert types_of(execution) == ["init", "execution_complete"]

    async def test_a_kernel_that_is_still_being_ended_is_nobody_to_wait_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("x = 1")
            gone, kernel = anyio.Event(), stage.kernels.last

            async def reluctantly() -> None:
                await gone.wait()
                await kernel.process.kill()

            monkeypatch.setattr(kernel, "shutdown", reluctantly)
            await stage.run("exit()")
            after = stage.submit("x = 1")
            gone.set()
            await after.ended.wait()
            assert types_of(after) == ["init", "context_restarted", "execution_complete"]

    async def test_late_output_goes_to_the_run_that_it_is_of(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            first = await stage.run("x = 1")
            request = stage.kernels.last.request
            assert request is not None
            second = await stage.held()
            request.receive(printed("a thread of the first\n"))
            await stage.release(second)
            assert [event.get("late") for event in events_of(first)] == [None, None, True]
            assert types_of(second) == ["init", "execution_complete"]

    async def test_a_defect_of_ours_ends_the_run_and_the_kernel_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class BrokenRun:
            def __init__(self, *_: object) -> None:
                raise RuntimeError("a defect")

        async with staged(tmp_path) as stage:
            with monkeypatch.context() as patch:
                patch.setattr(module, "Run", BrokenRun)
                broken = await stage.run("x = 1")
            assert ending(broken) == ("failed", "error")
            assert events_of(broken)[-2]["error"]["ename"] == "InternalError"
            after = await stage.run("x = 1")
            assert "context_restarted" in types_of(after)


async def test_two_contexts_share_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as one, staged(tmp_path) as other:
        running = await one.held()
        quick = await other.run("x = 1")
        assert ending(quick) == ("succeeded", None)
        await other.run("exit()")
        waiting = one.submit("y = 1")
        await one.release(running)
        await waiting.ended.wait()
        assert "context_restarted" not in types_of(waiting)
        assert (one.kernels.ran, other.kernels.ran) == (["hold", "y = 1"], ["x = 1", "exit()"])


async def test_a_context_has_a_birth_and_a_language(tmp_path: Path) -> None:
    context = Context("ctx_1", SPEC, tmp_path, LIMITS, FakeKernels())
    assert context.language == "python"
    assert context.created_at > 1_700_000_000_000
