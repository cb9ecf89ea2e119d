"""A context's restart: another kernel, no variables, the same line."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from execd.errors import ContextNotFound, KernelStartFailed
from execd.service.context import CONTEXT_DELETED
from execd.service.execution import Execution
from execd.service.harvest import NoHarvests
from tests.service.context_stage import staged
from tests.service.stage import ending, events_of, types_of


async def test_an_idle_context_gets_a_new_kernel_and_says_so(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.run("x = 1")
        before = stage.kernels.last
        await stage.context.restart()
        assert (stage.context.generation, stage.kernels.living) == (2, 1)
        assert before.shut_down
        after = await stage.run("x = 2")
        assert types_of(after) == ["init", "context_restarted", "execution_complete"]
        assert (events_of(after)[1]["generation"], events_of(after)[1]["why"]) == (2, "it was restarted")
        assert "context_restarted" not in types_of(await stage.run("x = 3"))


async def test_what_runs_is_cancelled_and_what_waits_runs_in_the_new_kernel(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        running = stage.submit("until interrupt")
        await stage.started(running)
        waiting = stage.submit("x = 1")
        await stage.context.restart()
        await waiting.ended.wait()
        assert ending(running) == ("cancelled", None)
        assert ending(waiting) == ("succeeded", None)
        assert "context_restarted" in types_of(waiting)
        assert [kernel.ran for kernel in stage.kernels.made] == [["until interrupt"], ["x = 1"]]


async def test_code_that_does_not_give_in_is_no_hindrance(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        running = stage.submit("hang")
        await stage.started(running)
        await stage.context.restart()
        assert ending(running) == ("cancelled", None)
        assert stage.kernels.living == 1


async def test_a_context_that_never_had_a_kernel_has_lost_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.context.restart()
        assert stage.context.generation == 1
        assert types_of(await stage.run("x = 1")) == ["init", "execution_complete"]


class Held(NoHarvests):
    """A harvest whose beginning is held back."""

    def __init__(self) -> None:
        self.begun, self.gate = anyio.Event(), anyio.Event()

    async def begin(self, execution: Execution) -> NoHarvests:
        self.begun.set()
        await self.gate.wait()
        return self


async def test_what_has_a_kernel_but_has_not_begun_runs_in_the_new_one(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        held = stage.context.harvests = Held()
        execution = stage.submit("x = 1")
        await held.begun.wait()
        await stage.context.restart()
        held.gate.set()
        await execution.ended.wait()
        assert ending(execution) == ("succeeded", None)
        assert [kernel.ran for kernel in stage.kernels.made] == [[], ["x = 1"]]


async def test_a_context_whose_kernel_has_exited(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.run("x = 1")
        await stage.run("exit()")
        await stage.context.restart()
        assert (stage.context.generation, stage.kernels.living) == (2, 1)


async def test_a_kernel_that_does_not_come_up_is_tried_again(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.run("x = 1")
        stage.kernels.fail_next(KernelStartFailed("python", "no room"))
        with pytest.raises(KernelStartFailed):
            await stage.context.restart()
        assert stage.context.state == "dormant"
        assert "context_restarted" in types_of(await stage.run("x = 2"))


async def test_a_closed_context_is_not_restarted(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.run("x = 1")
        await stage.context.close(CONTEXT_DELETED)
        with pytest.raises(ContextNotFound):
            await stage.context.restart()


async def test_closing_does_not_wait_for_a_restart(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await stage.run("x = 1")
        stage.kernels.gate = anyio.Event()
        refused: list[ContextNotFound] = []

        async def restart() -> None:
            try:
                await stage.context.restart()
            except ContextNotFound as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restart)
            await anyio.wait_all_tasks_blocked()
            await stage.context.close(CONTEXT_DELETED)
        assert refused
