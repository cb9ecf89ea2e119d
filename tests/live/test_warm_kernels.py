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
        self._starting = KernelStart(context, launcher, Runtime(folder, folder), 60)

    async def start(self, spec: KernelSpec, cwd: PurePath, env: Mapping[str, str]) -> Kernel:
        self.started += 1
        return await Kernel.start(self._starting, spec, cwd, env)


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
