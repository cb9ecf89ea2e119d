"""Control groups: version 1 as it is on this machine, version 2 in a folder that looks like it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from execd.isolation import cgroup
from execd.isolation.plan import Limits
from tests.isolation.eventually import eventually

MIB = 2**20


@contextmanager
def member(group: cgroup.Group, code: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process in the group, from its first instruction on."""
    entries = group.entries()

    def enter() -> None:
        for fd in entries:
            os.write(fd, b"0")

    process = subprocess.Popen([sys.executable, "-c", code], preexec_fn=enter, stdout=subprocess.PIPE)  # noqa: PLW1509 - no threads here
    for fd in entries:
        os.close(fd)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended_with(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=30)
    return process.returncode


@pytest.fixture(scope="module")
def groups() -> cgroup.Groups:
    try:
        found = cgroup.groups()
    except cgroup.Unavailable as error:
        pytest.skip(str(error))
    if found.controllers != {cgroup.MEMORY, cgroup.PIDS, cgroup.CPU, cgroup.FREEZER}:
        pytest.skip(f"this machine has control groups for {sorted(found.controllers)} only")
    return found


@pytest.fixture
def group(groups: cgroup.Groups) -> Iterator[cgroup.Group]:
    name = f"execd-test-{secrets.token_hex(4)}"
    made = groups.create(name, Limits(memory=96 * MIB, cpu=0.5, processes=16))
    try:
        assert name in groups.existing("execd-test-")
        yield made
    finally:
        made.kill()
        eventually(made.remove)
        assert name not in groups.existing("execd-test-")


class TestOnThisMachine:
    def test_a_process_that_takes_too_much_memory_is_killed_and_counted(self, group: cgroup.Group) -> None:
        with member(group, f"bytearray({256 * MIB})[::4096]; import ctypes; b = bytearray({512 * MIB})") as process:
            assert ended_with(process) == -9
        assert group.oom_kills() == 1
        assert 64 * MIB < (group.peak_memory() or 0) <= 96 * MIB

    def test_there_are_only_so_many_processes(self, group: cgroup.Group) -> None:
        code = """
import os, time
made = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except BlockingIOError:
    print(made, flush=True)
"""
        with member(group, code) as process:
            assert process.stdout is not None
            assert int(process.stdout.readline()) == 15
            assert group.refused_forks() >= 1
            group.kill()
            eventually(lambda: not group.pids())

    def test_time_is_bounded_and_counted(self, group: cgroup.Group) -> None:
        code = "import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
        with member(group, code) as process:
            assert process.stdout is not None
            used = float(process.stdout.readline())
        assert used < 0.8
        assert used - 0.2 < (group.cpu_seconds() or 0)

    def test_frozen_processes_stand_still_and_can_be_killed(self, group: cgroup.Group) -> None:
        with member(group, "while True: print(flush=True)") as process:
            assert process.stdout is not None
            process.stdout.readline()
            group.freeze()
            eventually(group.frozen)
            group.thaw()
            assert not group.frozen()
            group.freeze()
            group.kill()
            assert ended_with(process) == -9

    def test_one_with_processes_is_not_removed(self, group: cgroup.Group) -> None:
        with member(group, "import time; print(flush=True); time.sleep(60)") as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert group.pids() == {process.pid}
            assert not group.remove()

    def test_limits_may_grow_and_shrink(self, group: cgroup.Group) -> None:
        for size in (256 * MIB, 64 * MIB, 128 * MIB):
            group.limit(Limits(memory=size))

    def test_who_may_not_write_is_told_so(self, tmp_path: Path) -> None:
        with pytest.raises(cgroup.Unavailable, match="may be written"):
            cgroup.groups(tmp_path)


class TestVersion2:
    FILES = ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs", "cgroup.freeze", "cgroup.kill")

    @pytest.fixture
    def mount(self, tmp_path: Path) -> Path:
        self._group(tmp_path, "cpuset cpu io memory pids", "")
        self._group(tmp_path / "service", "cpu memory pids", "")
        (tmp_path / "service" / "execd-itself").mkdir()
        (tmp_path / "service" / "execd-itself" / "cgroup.procs").touch()
        (tmp_path / "service" / "cgroup.procs").write_text(f"{os.getpid()}\n")
        return tmp_path

    @pytest.fixture
    def membership(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("proc") / "cgroup"
        path.write_text("0::/service\n")
        return path

    def _group(self, folder: Path, controllers: str, enabled: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text(controllers)
        (folder / "cgroup.subtree_control").write_text(enabled)
        for name in self.FILES:
            (folder / name).touch()

    def test_takes_the_delegated_controllers_into_use_and_goes_out_of_the_way(
        self, mount: Path, membership: Path
    ) -> None:
        found = cgroup.groups(mount, membership)
        assert found.version == 2
        assert (mount / "service" / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
        assert (mount / "service" / "execd-itself" / "cgroup.procs").read_text() == str(os.getpid())

    def test_is_found_again_by_who_has_gone_out_of_the_way(self, mount: Path, membership: Path) -> None:
        membership.write_text("0::/service/execd-itself\n")
        (mount / "service" / "cgroup.subtree_control").write_text("cpu memory pids")
        self._group(mount / "service" / "sb_1", "", "")
        assert cgroup.groups(mount, membership).existing("sb_").keys() == {"sb_1"}

    def test_limits_usage_and_counts(self, mount: Path, membership: Path) -> None:
        (mount / "service" / "cgroup.subtree_control").write_text("cpu memory pids")
        folder = mount / "service" / "sb_1"
        self._group(folder, "", "")
        group = cgroup.groups(mount, membership).create("sb_1", Limits(memory=MIB, cpu=1.5, processes=7))
        written = {name: (folder / name).read_text() for name in self.FILES[:4]}
        assert written == {
            "memory.max": "1048576",
            "memory.swap.max": "0",
            "pids.max": "7",
            "cpu.max": "150000 100000",
        }
        (folder / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")
        (folder / "memory.current").write_text("4096\n")
        (folder / "memory.peak").write_text("8192\n")
        (folder / "pids.events").write_text("max 5\n")
        (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
        (folder / "cgroup.events").write_text("populated 1\nfrozen 1\n")
        counted = (group.oom_kills(), group.memory(), group.peak_memory(), group.refused_forks(), group.cpu_seconds())
        assert counted == (2, 4096, 8192, 5, 1.5)
        assert group.frozen()
        group.freeze()
        group.kill()
        assert [(folder / name).read_text() for name in ("cgroup.freeze", "cgroup.kill")] == ["1", "1"]
        [entry] = group.entries()
        os.close(entry)

    def test_without_controllers_it_still_freezes_and_kills(self, mount: Path, membership: Path) -> None:
        (mount / "service" / "cgroup.controllers").write_text("")
        self._group(mount / "service" / "sb_1", "", "")
        found = cgroup.groups(mount, membership)
        assert found.controllers == {cgroup.FREEZER}
        group = found.create("sb_1", Limits(memory=MIB, cpu=1.5, processes=7))
        assert group.oom_kills() == 0
        assert group.memory() is None
        group.freeze()
        assert (mount / "service" / "sb_1" / "cgroup.freeze").read_text() == "1"

    def test_a_tree_that_is_not_ours_is_unavailable(self, mount: Path, membership: Path) -> None:
        # A name that is taken: as good as a read-only file system, which root may write no more than others.
        (mount / "service" / f"execd-probe-{os.getpid()}").touch()
        with pytest.raises(cgroup.Unavailable, match="Delegate=yes"):
            cgroup.groups(mount, membership)
