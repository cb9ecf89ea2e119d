"""Control groups, on made-up trees of both versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.service.cgroup import ControlGroup, Limits

Tree = dict[str, str]


def group(folder: Path, membership: str, tree: Tree) -> ControlGroup:
    """A machine whose files say this."""
    (folder / "membership").write_text(membership)
    for name, text in tree.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return ControlGroup(folder / "membership", folder / "mount")


V2: Tree = {
    "cgroup.controllers": "cpu memory",
    "cpu.stat": "usage_usec 1",
    "pod/cpu.max": "150000 100000",
    "pod/memory.max": "1000",
    "pod/pids.max": "max",
    "pod/app/cpu.max": "max 100000",
    "pod/app/memory.max": "5000",
    "pod/app/pids.max": "300",
    "pod/app/memory.current": "700",
    "pod/app/memory.stat": "anon 100\ninactive_file 300",
    "pod/app/cpu.stat": "usage_usec 2500000\nuser_usec 1",
}
V1: Tree = {
    "cpu/pod/cpu.cfs_quota_us": "50000",
    "cpu/pod/cpu.cfs_period_us": "100000",
    "cpu/pod/app/cpu.cfs_quota_us": "-1",
    "cpu/pod/app/cpu.cfs_period_us": "100000",
    "cpuacct/pod/app/cpuacct.usage": "2500000000",
    "memory/pod/app/memory.limit_in_bytes": "5000",
    "pids/pod/pids.max": "300",
    "pids/pod/app/pids.max": "max",
    "memory/pod/app/memory.usage_in_bytes": "700",
    "memory/pod/app/memory.stat": "cache 1\ntotal_inactive_file 300",
}
V1_MEMBERSHIP = "6:pids:/pod/app\n5:cpu,cpuacct:/pod/app\n4:memory:/pod/app\n1:name=systemd:/x:y\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "tree", "cpus", "memory"), [("0::/pod/app\n", V2, 1.5, 1000), (V1_MEMBERSHIP, V1, 0.5, 5000)]
)
def test_the_least_limit_on_the_way_up_counts(
    tmp_path: Path, membership: str, tree: Tree, cpus: float, memory: int
) -> None:
    found = group(tmp_path, membership, tree)
    assert found.limits() == Limits(cpus, memory, tasks=300)
    assert found.cpu_seconds() == 2.5
    assert found.memory_used() == 400


def test_in_a_container_the_mount_is_the_group(tmp_path: Path) -> None:
    tree = {"cgroup.controllers": "", "cpu.max": "200000 100000", "memory.max": "max", "memory.current": "7"}
    found = group(tmp_path, "0::/docker/not-to-be-found-here\n", tree)
    assert found.limits() == Limits(2.0, None)
    assert (found.memory_used(), found.cpu_seconds()) == (7, None)


def test_a_machine_without_groups_has_no_limits(tmp_path: Path) -> None:
    found = ControlGroup(tmp_path / "missing", tmp_path / "missing")
    assert (found.limits(), found.memory_used(), found.cpu_seconds()) == (Limits(), None, None)


def test_limits_are_read_anew(tmp_path: Path) -> None:
    found = group(tmp_path, "0::/\n", {"cgroup.controllers": "", "memory.max": "5"})
    assert found.limits().memory == 5
    (tmp_path / "mount/memory.max").write_text("6")
    assert found.limits().memory == 6


def test_this_machine_can_be_asked() -> None:
    here = ControlGroup()
    assert all(limit is None or limit > 0 for limit in (here.limits().cpus, here.limits().memory))
    assert all(used is None or used >= 0 for used in (here.memory_used(), here.cpu_seconds()))
