"""The contexts of a sandbox."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from execd.errors import (
    Conflict,
    ContextNotFound,
    KernelStartFailed,
    ShuttingDown,
    TooManyContexts,
    UnknownLanguage,
    WorkingFolderUnusable,
)
from execd.kernel.kernelspec import Kernelspecs
from execd.service.contexts import Contexts, Keep
from execd.service.workspace import Workspace
from tests.kernel.fake_kernel import SPEC, FakeKernels
from tests.machine import MACHINE
from tests.service.context_stage import LIMITS
from tests.service.stage import ending, new_execution, types_of

SPECS = Kernelspecs({"python": SPEC, "r": replace(SPEC, language="r")})


class Stage:
    def __init__(self, contexts: Contexts, kernels: FakeKernels, folder: Path) -> None:
        self.contexts = contexts
        self.kernels = kernels
        self.folder = folder

    def ids(self, language: str | None = None) -> list[str]:
        return [context.id for context in self.contexts.list(language)]


@asynccontextmanager
async def opened(folder: Path, *failures: Exception) -> AsyncIterator[Stage]:
    """Contexts on fake kernels, at most three; none is left afterwards."""
    numbers = itertools.count(1)
    kernels = FakeKernels(*failures)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            limits = replace(LIMITS, contexts=3)
            contexts = Contexts(
                SPECS, kernels, Workspace(MACHINE, folder), limits, tasks, Keep(lambda: f"ctx_{next(numbers)}")
            )
            yield Stage(contexts, kernels, folder)
            await contexts.close()
            await contexts.close()
    assert kernels.living == 0


async def test_one_that_is_made_has_a_kernel_and_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        made = await stage.contexts.create("python", "project/src")
        assert (made.id, made.state, made.cwd) == ("ctx_1", "idle", tmp_path / "project/src")
        assert stage.contexts.get("ctx_1") is made
        assert stage.contexts.has("ctx_1")
        assert stage.kernels.folders == [tmp_path / "project/src"]
        with pytest.raises(ContextNotFound, match="ctx_9"):
            stage.contexts.get("ctx_9")


async def test_each_language_has_one_default(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        python = stage.contexts.default("python", "a")
        assert stage.contexts.default("python", "b") is python
        assert stage.contexts.default("r") is not python
        assert (python.cwd, python.state) == (tmp_path / "a", "dormant")
        await stage.contexts.delete(python.id)
        assert stage.contexts.default("python") is not python


async def test_one_is_found_by_its_name_or_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        made = await stage.contexts.create("python", name="analysis")
        prepared = stage.contexts.prepare("r", name="ctx_old")
        assert (prepared.state, prepared.name) == ("dormant", "ctx_old")
        for name, meant in (("analysis", made), ("ctx_1", made), ("ctx_old", prepared)):
            assert stage.contexts.named(name) is meant
        for taken in ("analysis", "ctx_1"):
            with pytest.raises(Conflict, match=taken):
                stage.contexts.prepare("python", name=taken)
        await stage.contexts.delete(made.id)
        with pytest.raises(ContextNotFound, match="analysis"):
            stage.contexts.named("analysis")
        assert stage.contexts.prepare("python", name="analysis") is not made


async def test_whether_a_language_has_its_default(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        assert not stage.contexts.has_default("python")
        made = stage.contexts.default("python")
        assert stage.contexts.has_default("python")
        await stage.contexts.delete(made.id)
        assert not stage.contexts.has_default("python")


async def test_they_are_listed_oldest_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        await stage.contexts.create("python")
        stage.contexts.default("r")
        await stage.contexts.create("python")
        assert stage.ids() == ["ctx_1", "ctx_2", "ctx_3"]
        assert stage.ids("python") == ["ctx_1", "ctx_3"]
        assert stage.ids("cobol") == []
        await stage.contexts.delete_all("python")
        assert stage.ids() == ["ctx_2"]


async def test_their_number_is_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        for _ in range(3):
            await stage.contexts.create("python")
        with pytest.raises(TooManyContexts, match="already 3 contexts"):
            await stage.contexts.create("python")
        with pytest.raises(TooManyContexts):
            stage.contexts.default("r")
        await stage.contexts.delete("ctx_2")
        assert (await stage.contexts.create("python")).id == "ctx_4"


async def test_an_unknown_language_makes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        with pytest.raises(UnknownLanguage, match="python, r"):
            await stage.contexts.create("cobol")
        with pytest.raises(UnknownLanguage):
            stage.contexts.default("cobol")
        assert stage.ids() == []


async def test_one_whose_kernel_does_not_start_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path, KernelStartFailed("python", "no room")) as stage:
        with pytest.raises(KernelStartFailed):
            await stage.contexts.create("python")
        assert stage.ids() == []


async def test_deleting_one_that_is_being_made_leaves_no_kernel(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        stage.kernels.gate = anyio.Event()

        async def create() -> None:
            with pytest.raises(ContextNotFound):
                await stage.contexts.create("python")

        async with anyio.create_task_group() as group:
            group.start_soon(create)
            await stage.kernels.starting.wait()
            await stage.contexts.delete("ctx_1")
        assert (stage.ids(), stage.kernels.made) == ([], [])


async def test_who_gives_up_on_making_one_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        stage.kernels.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(stage.contexts.create, "python")
            await stage.kernels.starting.wait()
            group.cancel_scope.cancel()
        assert (stage.ids(), stage.kernels.made) == ([], [])


async def test_closing_ends_all_and_makes_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        context = await stage.contexts.create("python")
        execution = new_execution(tmp_path, "hold")
        context.submit(execution)
        await anyio.wait_all_tasks_blocked()
        await stage.contexts.close()
        assert ending(execution) == ("failed", "service_restarted")
        with pytest.raises(ShuttingDown):
            await stage.contexts.create("python")
        with pytest.raises(ShuttingDown):
            context.check_room()


async def test_only_the_idle_are_put_to_sleep(tmp_path: Path) -> None:
    async with opened(tmp_path) as stage:
        idle = await stage.contexts.create("python")
        busy = await stage.contexts.create("python")
        execution = new_execution(tmp_path, "hold")
        busy.submit(execution)
        await anyio.wait_all_tasks_blocked()
        await stage.contexts.hibernate_idle(1000)
        assert (idle.state, busy.state) == ("idle", "busy")
        await stage.contexts.hibernate_idle(0)
        assert (idle.state, busy.state) == ("dormant", "busy")
        stage.kernels.made[1].stimulate("release")
        await execution.ended.wait()
        after = new_execution(tmp_path)
        idle.submit(after)
        await after.ended.wait()
        assert "context_restarted" in types_of(after)


@pytest.mark.parametrize(("cwd", "folder"), [(None, ""), ("", ""), ("a/b", "a/b"), ("../beside", "../beside")])
def test_a_folder_is_made_below_the_workspace(tmp_path: Path, cwd: str | None, folder: str) -> None:
    workspace = tmp_path / "workspace"
    assert Workspace(MACHINE, workspace).usable(cwd) == workspace / folder
    assert (workspace / folder).is_dir()


def test_a_folder_may_be_anywhere(tmp_path: Path) -> None:
    assert Workspace(MACHINE, tmp_path / "workspace").usable(str(tmp_path / "else")) == tmp_path / "else"


@pytest.mark.parametrize(
    ("cwd", "why"), [("file", "File exists"), ("file/x", "Not a directory"), ("a\0b", "null byte")]
)
def test_a_folder_that_cannot_be(tmp_path: Path, cwd: str, why: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkingFolderUnusable, match=why):
        Workspace(MACHINE, tmp_path).usable(cwd)
