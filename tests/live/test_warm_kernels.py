"""Kernels that have started before anybody asks for them: nobody can tell them from new ones, and nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path, PurePath

import anyio
import pytest
import zmq

from execd.errors import KernelStartFailed
from execd.kernel.connection import Runtime
from execd.kernel.kernel import Kernel, KernelStart
from execd.kernel.kernelspec import KernelSpec, Kernelspecs, bundled_kernels
from execd.kernel.request import ExecuteRequest
from execd.service.starter import open_zmq
from execd.service.warm import Like, WarmKernels
from execd.settings import Settings
from execd.warden.client import Enclosure

pytestmark = pytest.mark.anyio
SPEC = Kernelspecs.read(bundled_kernels(), Settings().kernel_python).get("python")


class Stage:
    """A pool in a sandbox without walls. Its kernels need no quiet, so that tests need no time."""

    def __init__(self, launcher: Enclosure, folder: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.started = 0
        self.starting = KernelStart(context, launcher, Runtime(folder, folder), 60)

    async def start(self, spec: KernelSpec, cwd: PurePath, env: Mapping[str, str]) -> Kernel:
        self.started += 1
        return await Kernel.start(self.starting, spec, cwd, env)


@asynccontextmanager
async def pool(launcher: Enclosure, folder: Path, most: int = 1) -> AsyncIterator[tuple[Stage, WarmKernels]]:
    context = open_zmq()
    stage = Stage(launcher, folder, context)
    try:
        async with anyio.create_task_group() as tasks:
            warm = WarmKernels(stage.start, most, tasks, quiet=0)
            try:
                yield stage, warm
            finally:
                await warm.close()
    finally:
        context.destroy(linger=0)


@pytest.fixture
def like(public_folder: Path) -> Like:
    env = {"PATH": os.environ["PATH"], "HOME": str(public_folder), "IPYTHONDIR": str(public_folder / "ipython")}
    return Like(SPEC, public_folder, env | {"PWD": str(public_folder)})


async def printed(kernel: Kernel, code: str) -> str:
    text, ended = "", anyio.Event()

    def emit(event: object) -> None:
        nonlocal text
        text += getattr(event, "text", "")

    request = kernel.execute(ExecuteRequest(code), emit, lambda: ended.set() if request.ended else None)
    await ended.wait()
    return text


async def filled(warm: WarmKernels, like: Like) -> Kernel:
    warm.ask(like)
    await warm.settled.wait()
    return next(iter(warm.waiting))


async def test_one_that_waits_is_moved_and_leaves_no_trace(
    launcher: Enclosure, like: Like, public_folder: Path
) -> None:
    other = public_folder / "other"
    other.mkdir()
    async with pool(launcher, public_folder) as (stage, warm):
        waits = await filled(warm, like)
        kernel = await warm.take(replace(like, cwd=other, env={**like.env, "PWD": str(other)}))
        assert kernel is waits
        look = "import os; print(os.getcwd(), os.environ['PWD'], _dh, In, Out, get_ipython().execution_count)"
        assert await printed(kernel, look) == f"{other} {other} [PosixPath('{other}')] ['', {look!r}] {{}} 2\n"
        assert (stage.started, warm.waiting) == (1, {})
        await kernel.shutdown()


@pytest.mark.parametrize("change", ["environment", "configuration", "start-up file", "no such folder"])
async def test_one_that_would_not_be_as_a_new_one_is_not_given(
    launcher: Enclosure, like: Like, public_folder: Path, change: str
) -> None:
    async with pool(launcher, public_folder) as (_, warm):
        kernel = await filled(warm, like)
        wanted, profile = like, public_folder / "ipython" / "profile_default"
        (profile / "startup").mkdir(parents=True)
        if change == "environment":
            wanted = replace(like, env={**like.env, "NEW": "1"})
        elif change == "configuration":
            (profile / "ipython_config.py").touch()
        elif change == "start-up file":
            (profile / "startup" / "first.py").touch()
        else:
            wanted = replace(like, cwd=public_folder / "nowhere")
        assert await warm.take(wanted) is None
        assert not kernel.alive


async def test_one_that_dies_is_replaced(launcher: Enclosure, like: Like, public_folder: Path) -> None:
    async with pool(launcher, public_folder) as (stage, warm):
        kernel = await filled(warm, like)
        warm.settled = anyio.Event()
        os.kill(kernel.process.pid, signal.SIGKILL)
        await warm.settled.wait()
        assert [each.alive for each in warm.waiting] == [True]
        assert (stage.started, kernel in warm.waiting) == (2, False)


async def test_nothing_waits_before_the_first_or_after_the_end(
    launcher: Enclosure, like: Like, public_folder: Path
) -> None:
    async with pool(launcher, public_folder, 2) as (stage, warm):
        assert await warm.take(like) is None
        await filled(warm, like)
        kernels = list(warm.waiting)
    assert (len(kernels), stage.started, warm.waiting) == (2, 2, {})
    assert not any(kernel.alive for kernel in kernels)
    assert not list(public_folder.glob("k*"))


class Lingering(Kernel):
    """One that does not answer when it is told to go to another folder, or, `at_once`, to wait for somebody."""

    asked: anyio.Event
    at_once = False

    async def enter(self, cwd: PurePath, *, warm: bool = False) -> bool:
        if warm and not self.at_once:
            return True
        self.asked.set()
        await anyio.sleep_forever()
        return False


class LingeringAtOnce(Lingering):
    at_once = True


@asynccontextmanager
async def lingering(
    kind: type[Lingering], launcher: Enclosure, folder: Path
) -> AsyncIterator[tuple[list[Lingering], anyio.Event, WarmKernels]]:
    asked = anyio.Event()
    made: list[Lingering] = []
    async with pool(launcher, folder) as (stage, _), anyio.create_task_group() as tasks:

        async def start(spec: KernelSpec, cwd: PurePath, env: Mapping[str, str]) -> Kernel:
            kernel = await kind.start(stage.starting, spec, cwd, env)
            assert isinstance(kernel, kind)
            kernel.asked = asked
            made.append(kernel)
            return kernel

        yield made, asked, WarmKernels(start, 1, tasks, quiet=0)


async def test_one_that_is_about_to_wait_ends_with_the_others(
    launcher: Enclosure, like: Like, public_folder: Path
) -> None:
    async with lingering(LingeringAtOnce, launcher, public_folder) as (made, asked, warm):
        warm.ask(like)
        await asked.wait()
        await warm.close()
        assert [kernel.alive for kernel in made] == [False]
        assert not list(public_folder.glob("k*"))


async def test_one_ends_whose_taker_has_gone(launcher: Enclosure, like: Like, public_folder: Path) -> None:
    async with lingering(Lingering, launcher, public_folder) as (made, asked, warm):
        await filled(warm, like)
        async with anyio.create_task_group() as taking:
            taking.start_soon(warm.take, like)
            await asked.wait()
            taking.cancel_scope.cancel()
        assert [kernel.alive for kernel in made] == [False]
        assert not list(public_folder.glob("k*"))
        await warm.close()


async def test_what_cannot_start_is_tried_when_somebody_asks_again(
    launcher: Enclosure, like: Like, public_folder: Path
) -> None:
    async with pool(launcher, public_folder) as (stage, warm):
        broken = replace(like, spec=replace(SPEC, argv=("/nowhere/python", *SPEC.argv[1:])))
        warm.ask(broken)
        await warm.settled.wait()
        with pytest.raises(KernelStartFailed):
            await stage.start(broken.spec, broken.cwd, broken.env)
        assert (await filled(warm, like)).alive


async def test_none_are_kept_where_none_are_wanted(launcher: Enclosure, like: Like, public_folder: Path) -> None:
    async with pool(launcher, public_folder, 0) as (stage, warm):
        warm.ask(like)
        assert await warm.take(like) is None
        assert stage.started == 0
