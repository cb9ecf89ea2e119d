"""What looks after limits that nothing of the machine holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest

from execd.isolation.plan import Limits
from execd.service.footprint import Footprint, footprints, size_of_tree
from execd.service.watchdog import Watchdog, Watched, pause, victim

MIB = 2**20


@pytest.fixture
def hog() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes 50 MiB."""
    code = "b = bytearray(50 * 2**20); print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_the_largest_is_the_victim_and_only_over_the_limit() -> None:
    one, other = (Footprint(psutil.Process(), size) for size in (10, 30))
    assert victim([one, other], 40) is None
    assert victim([one, other], 39) is other
    assert victim([], 0) is None


def test_the_next_look_comes_sooner_near_the_limit_and_later_when_looks_are_dear() -> None:
    waits = [pause(used, 100, 0.0) for used in (0, 50, 90, 100, 200)]
    assert waits == sorted(waits, reverse=True)
    assert (waits[0], waits[-1]) == (2.0, 0.1)
    assert pause(100, 100, 1.0) == 20.0
    assert pause(0, 100, 0.0, full=True) == 0.1


def test_what_processes_take(hog: subprocess.Popen[bytes]) -> None:
    [rough] = footprints([hog.pid, 2**22], 10**12)
    [exact] = footprints([hog.pid], 1)
    assert 50 * MIB < exact.bytes <= rough.bytes < 200 * MIB


def test_the_size_of_a_tree(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "file").write_bytes(bytes(MIB))
    os.link(tree / "a" / "file", tree / "again")
    (tree / "out").symlink_to("/usr")
    assert MIB <= size_of_tree(tree, 10 * MIB) < 2 * MIB
    assert size_of_tree(tree, 1000) > 1000


def test_a_tree_too_deep_to_look_at_is_too_large(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert size_of_tree(tmp_path, MIB) > MIB
    subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


async def test_a_full_workspace_is_told_until_it_has_room(tmp_path: Path) -> None:
    told: list[bool] = []

    async def on_full(full: bool) -> None:
        told.append(full)
        if len(told) == 3:
            (tmp_path / "file").unlink()

    async def members() -> list[int]:
        return []

    (tmp_path / "file").write_bytes(bytes(MIB))
    watched = Watched("sb_x", Limits(workspace_size=MIB // 2), tmp_path, members, lambda: None, on_full)
    watchdog = Watchdog()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watchdog.run)
        watchdog.watch(watched)
        with anyio.fail_after(20):
            while told[-1:] != [False]:  # noqa: ASYNC110 - nobody tells it
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    assert told == [True, True, True, False]


async def test_a_sandbox_over_its_memory_loses_its_largest_process(
    hog: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    kills: list[bool] = []

    async def members() -> list[int]:
        return [hog.pid] if hog.poll() is None else []

    async def nothing(_: bool) -> None:
        return None

    watched = Watched("sb_x", Limits(memory=20 * MIB), tmp_path, members, lambda: kills.append(True), nothing)
    watchdog = Watchdog()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watchdog.run)
        end = watchdog.watch(watched)
        with anyio.fail_after(20):
            assert await anyio.to_thread.run_sync(hog.wait) == -9
        end()
        end()
        tasks.cancel_scope.cancel()
    assert kills == [True]
