"""How a context is put to sleep, warmed up and closed, whatever it is doing."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from execd.errors import ContextNotFound, ExecdError, KernelStartFailed, ShuttingDown
from execd.service.context import CONTEXT_DELETED, SERVICE_ENDED, Context
from execd.service.run import Ending
from tests.kernel.fake_kernel import SPEC, FakeKernels
from tests.service.context_stage import LIMITS, staged
from tests.service.stage import ending, events_of, new_execution, types_of

ENDINGS = [
    (CONTEXT_DELETED, ("cancelled", None), "ContextDeleted", ContextNotFound),
    (SERVICE_ENDED, ("failed", "service_restarted"), "ServiceEnded", ShuttingDown),
]


class TestHibernate:
    async def test_an_idle_context_sleeps_and_says_so_afterwards(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("x = 1")
            await anyio.wait_all_tasks_blocked()
            await stage.context.hibernate("it was idle")
            assert (stage.context.state, stage.kernels.living) == ("dormant", 0)
            execution = await stage.run("x")
            assert events_of(execution)[1]["why"] == "it was idle"

    async def test_one_without_a_kernel_stays_as_it_is(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.context.hibernate("it was idle")
            assert "context_restarted" not in types_of(await stage.run("x"))

    async def test_a_busy_one_is_left_alone(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            execution = await stage.held()
            await stage.context.hibernate("it was idle")
            assert stage.kernels.living == 1
            await stage.release(execution)
            assert ending(execution) == ("succeeded", None)

    async def test_one_with_a_run_in_line_is_left_alone(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("x = 1")
            await anyio.wait_all_tasks_blocked()
            execution = stage.submit("x")
            await stage.context.hibernate("it was idle")
            await execution.ended.wait()
            assert types_of(execution) == ["init", "execution_complete"]

    async def test_one_that_is_being_started_is_left_alone(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage, anyio.create_task_group() as group:
            stage.kernels.gate = anyio.Event()
            execution = stage.submit("x = 1")
            await stage.kernels.starting.wait()
            group.start_soon(stage.context.hibernate, "it was idle")
            await anyio.wait_all_tasks_blocked()
            stage.kernels.gate.set()
            await execution.ended.wait()
            assert ending(execution) == ("succeeded", None)


class TestWarm:
    async def test_it_has_a_kernel_before_its_first_run(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            await stage.context.warm()
            assert (stage.context.state, len(stage.kernels.made)) == ("idle", 1)
            await stage.run("x = 1")
            assert len(stage.kernels.made) == 1

    async def test_two_that_want_one_share_it(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage:
            stage.kernels.gate = anyio.Event()
            async with anyio.create_task_group() as group:
                group.start_soon(stage.context.warm)
                execution = stage.submit("x = 1")
                await stage.kernels.starting.wait()
                stage.kernels.gate.set()
            await execution.ended.wait()
            assert len(stage.kernels.made) == 1

    async def test_a_failure_is_the_callers(self, tmp_path: Path) -> None:
        async with staged(tmp_path, KernelStartFailed("python", "no room")) as stage:
            with pytest.raises(KernelStartFailed, match="no room"):
                await stage.context.warm()

    @pytest.mark.parametrize(("how", "_ends", "_ename", "refusal"), ENDINGS)
    async def test_closing_ends_the_start(
        self, tmp_path: Path, how: Ending, _ends: object, _ename: object, refusal: type[ExecdError]
    ) -> None:
        async with staged(tmp_path) as stage:
            stage.kernels.gate = anyio.Event()
            refused: list[BaseException] = []

            async def warm() -> None:
                with pytest.raises(refusal) as caught:
                    await stage.context.warm()
                refused.append(caught.value)

            async with anyio.create_task_group() as group:
                group.start_soon(warm)
                await stage.kernels.starting.wait()
                await stage.context.close(how)
            assert len(refused) == 1
            assert stage.context.kernel is None

    async def test_a_start_that_comes_through_while_closing_leaves_no_kernel(self, tmp_path: Path) -> None:
        async with staged(tmp_path) as stage, anyio.create_task_group() as group:
            stage.kernels.gate = anyio.Event()
            group.start_soon(_ignoring_refusal, stage.context)
            await stage.kernels.starting.wait()
            stage.kernels.gate.set()
            await stage.context.close(CONTEXT_DELETED)
        assert stage.kernels.living == 0


async def _ignoring_refusal(context: Context) -> None:
    try:
        await context.warm()
    except ContextNotFound:
        return


@pytest.mark.parametrize(("how", "ends", "ename", "refusal"), ENDINGS)
class TestClose:
    async def test_what_runs_and_what_waits_ends_so(
        self, tmp_path: Path, how: Ending, ends: tuple[str, str | None], ename: str, refusal: type[ExecdError]
    ) -> None:
        async with staged(tmp_path) as stage:
            running = await stage.held()
            waiting = [stage.submit("x = 1"), stage.submit("y = 1")]
            await stage.context.close(how)
            for execution in (running, *waiting):
                assert ending(execution) == ends
                assert events_of(execution)[-2]["error"]["ename"] == ename
                assert execution.ended.is_set()
            assert stage.kernels.ran == ["hold"]
            assert stage.kernels.last.shut_down

    async def test_one_that_waits_for_its_kernel_ends_too(
        self, tmp_path: Path, how: Ending, ends: tuple[str, str | None], ename: str, refusal: type[ExecdError]
    ) -> None:
        async with staged(tmp_path) as stage:
            stage.kernels.gate = anyio.Event()
            execution = stage.submit("x = 1")
            await stage.kernels.starting.wait()
            await stage.context.close(how)
            assert ending(execution) == ends
            assert stage.kernels.ran == []

    async def test_nothing_can_be_asked_of_it_afterwards(
        self, tmp_path: Path, how: Ending, ends: tuple[str, str | None], ename: str, refusal: type[ExecdError]
    ) -> None:
        async with staged(tmp_path) as stage:
            await stage.run("x = 1")
            await stage.context.close(how)
            await stage.context.close(how)
            late = new_execution(tmp_path)
            with pytest.raises(refusal):
                stage.context.check_room()
            with pytest.raises(refusal):
                stage.context.submit(late)
            with pytest.raises(refusal):
                await stage.context.warm()
            assert len(stage.kernels.made) == 1

    async def test_before_it_was_ever_served(
        self, tmp_path: Path, how: Ending, ends: tuple[str, str | None], ename: str, refusal: type[ExecdError]
    ) -> None:
        context = Context("ctx_1", SPEC, tmp_path, LIMITS, FakeKernels())
        execution = new_execution(tmp_path)
        context.submit(execution)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.serve)
            await context.close(how)
        assert ending(execution) == ends


async def test_one_that_is_cancelled_from_outside_ends_its_runs(tmp_path: Path) -> None:
    kernels = FakeKernels()
    context = Context("ctx_1", SPEC, tmp_path, LIMITS, kernels)
    execution = new_execution(tmp_path, "hold")
    context.submit(execution)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(context.serve)
            await kernels.starting.wait()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert ending(execution) == ("failed", "service_restarted")
    assert kernels.living == 0
