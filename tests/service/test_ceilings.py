"""What the machine bounds, held against what contexts and sandboxes take; on made-up machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.service.ceilings import Bound, Population, Resource, bounds_here, ceilings, ceilings_here
from execd.service.cgroup import ControlGroup
from execd.settings import Settings

GIB = 1024**3


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "memory", "expected"),
    [
        ({}, 1000 * GIB, Population(101, 101 * 101, 101)),
        ({"max_contexts": 500, "max_sandboxes": 1, "warm_kernels": 0}, 1000 * GIB, Population(2, 1000, 500)),
        # More kernels than go into memory there cannot be.
        ({}, 10 * GIB, Population(101, 1024, 101)),
        ({"max_contexts": 5000}, GIB, Population(101, 102, 102)),
        ({}, 1, Population(101, 1, 1)),
    ],
)
def test_the_largest_population(given: dict[str, object], memory: int, expected: Population) -> None:
    assert Population.largest(settings(**given), memory) == expected


MANY = Population(sandboxes=101, contexts=2000, contexts_of_one=500)


@pytest.mark.parametrize(
    ("wanted", "needs", "allows", "enough_for"),
    [
        (Resource.DESCRIPTORS, 200 + 101 * 5 + 2000 * 14, 4096, "about 277 contexts"),
        (Resource.DESCRIPTORS, 200 + 101 * 5 + 2000 * 14, 256, "about 3 contexts"),
        (Resource.DESCRIPTORS, 200 + 101 * 5 + 2000 * 14, 64, "about 0 contexts"),
        (Resource.INSTANCES, 8 + 101, 128, "about 120 sandboxes"),
        (Resource.WATCHES, 101 * 50, 8192, "about 163 sandboxes"),
        (Resource.TASKS, 100 + 101 * 3 + 2000 * 6, 4000, "about 649 contexts"),
        (Resource.SANDBOX_TASKS, 3 + 500 * 6, 1000, "about 166 contexts"),
    ],
)
def test_what_they_take_and_what_a_bound_is_enough_for(
    wanted: Resource, needs: int, allows: int, enough_for: str
) -> None:
    [found] = ceilings(MANY, [Bound(wanted, "a bound", allows, "raise it")])
    assert (found.needs, found.allows, found.enough_for) == (needs, allows, enough_for)
    assert found.low is (allows < needs)


def test_the_least_bound_of_a_resource_counts() -> None:
    bounds = [
        Bound(Resource.TASKS, "kernel.pid_max", 32768, "sysctl"),
        Bound(Resource.TASKS, "pids.max", 512, "TasksMax="),
        Bound(Resource.INSTANCES, "max_user_instances", 128, "sysctl"),
    ]
    assert [(found.bound, found.low) for found in ceilings(MANY, bounds)] == [
        ("max_user_instances", False),
        ("pids.max", True),
    ]


def test_the_bound_itself_is_enough() -> None:
    [found] = ceilings(MANY, [Bound(Resource.INSTANCES, "a bound", MANY.needs(Resource.INSTANCES), "raise it")])
    assert not found.low


def test_what_a_machine_says(tmp_path: Path) -> None:
    said = {
        "fs/inotify/max_user_instances": "128",
        "fs/inotify/max_user_watches": "8192",
        "kernel/pid_max": "32768",
        "kernel/threads-max": "unreadable",
    }
    for name, text in said.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(text + "\n")
    (tmp_path / "membership").write_text("0::/app\n")
    (tmp_path / "mount" / "app").mkdir(parents=True)
    (tmp_path / "mount" / "cgroup.controllers").touch()
    (tmp_path / "mount" / "app" / "pids.max").write_text("777\n")
    group = ControlGroup(tmp_path / "membership", tmp_path / "mount")
    found = {bound.name: bound.allows for bound in bounds_here(settings(), tmp_path, group)}
    assert (
        found.items()
        >= {
            "fs.inotify.max_user_instances": 128,
            "fs.inotify.max_user_watches": 8192,
            "kernel.pid_max": 32768,
            "the control group's pids.max": 777,
            "EXECD_SANDBOX_PROCESSES": 4096,
        }.items()
    )
    assert "kernel.threads-max" not in found


@pytest.mark.parametrize("given", [{"sandbox_processes": 0}, {"isolation": "process"}])
def test_a_sandbox_that_is_not_bounded(given: dict[str, object]) -> None:
    assert "EXECD_SANDBOX_PROCESSES" not in {bound.name for bound in bounds_here(settings(**given))}


def test_this_machine_has_ceilings() -> None:
    assert "inotify instances" in {found.resource for found in ceilings_here(settings())}
