"""Readings of the machine."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execd.service.cgroup import ControlGroup
from execd.service.journal import now_ms
from execd.service.metrics import Machine, Metrics, Reading, Sample, cpu_percent

pytestmark = pytest.mark.anyio

POSITIVE = st.floats(0, 1e9)


@given(POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.floats(0, 256))
def test_cpu_use_is_a_percentage(at: float, used: float, later: float, more: float, cpus: float) -> None:
    assert 0 <= cpu_percent(Sample(at, used), Sample(at + later, used + more), cpus) <= 100


@pytest.mark.parametrize(
    ("after", "cpus", "percent"),
    [(Sample(2, 1), 1, 50), (Sample(2, 1), 2, 25), (Sample(2, 9), 2, 100), (Sample(0, 1), 1, 0), (Sample(1, -1), 1, 0)],
)
def test_cpu_use(after: Sample, cpus: float, percent: float) -> None:
    assert cpu_percent(Sample(0, 0), after, cpus) == percent


class ScriptedMachine(Machine):
    """A machine whose time and use are what a test says."""

    def __init__(self) -> None:
        super().__init__(ControlGroup(Path("/missing"), Path("/missing")))
        self.now = Sample(0, 0)

    def cpus(self) -> float:
        return 2.0

    def sample(self) -> Sample:
        return self.now

    def memory(self) -> tuple[int, int]:
        return 4 * 1024 * 1024, 1024 * 1024


@pytest.fixture
def machine() -> ScriptedMachine:
    return ScriptedMachine()


async def test_a_first_reading_waits_for_a_second_sample(
    machine: ScriptedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pass_time(seconds: float) -> None:
        machine.now = Sample(machine.now.at + seconds, machine.now.used + seconds)

    monkeypatch.setattr(anyio, "sleep", pass_time)
    reading = await Metrics(machine).read()
    assert (reading.cpu_count, reading.cpu_used_pct) == (2.0, 50.0)
    assert (reading.mem_total_mib, reading.mem_used_mib) == (4.0, 1.0)
    assert abs(reading.timestamp - now_ms()) < 60_000


async def test_a_recent_sample_is_enough_and_an_old_one_is_not(
    machine: ScriptedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def pass_time(seconds: float) -> None:
        waited.append(seconds)
        machine.now = Sample(machine.now.at + seconds, machine.now.used)

    monkeypatch.setattr(anyio, "sleep", pass_time)
    metrics = Metrics(machine)
    assert (await metrics.read()).cpu_used_pct == 0
    machine.now = Sample(machine.now.at + 1, machine.now.used + 2)
    assert (await metrics.read()).cpu_used_pct == 100
    machine.now = Sample(machine.now.at + 0.01, machine.now.used)
    assert (await metrics.read()).cpu_used_pct == 100
    assert len(waited) == 1
    machine.now = Sample(machine.now.at + 100, machine.now.used + 200)
    assert (await metrics.read()).cpu_used_pct == 0
    assert len(waited) == 2


async def test_following_ends_with_the_service(machine: ScriptedMachine) -> None:
    metrics = Metrics(machine)
    seen: list[Reading] = []
    with anyio.fail_after(30):
        async for reading in metrics.follow():
            seen.append(reading)
            metrics.close()
    assert len(seen) == 1


def limited(folder: Path, **files: str) -> Machine:
    (folder / "cgroup.controllers").touch()
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return Machine(ControlGroup(folder / "missing", folder))


def test_a_limited_group_is_what_there_is(tmp_path: Path) -> None:
    machine = limited(
        tmp_path, cpu_max="50000 100000", cpu_stat="usage_usec 3000000", memory_max="1048576", memory_current="4096"
    )
    assert machine.cpus() == 0.5
    assert machine.sample().used == 3.0
    assert machine.memory() == (1048576, 4096)


def test_without_limits_the_machine_is(tmp_path: Path) -> None:
    machine = limited(tmp_path, cpu_stat="usage_usec 3000000", memory_max="max", memory_current="4096")
    assert machine.cpus() == len(os.sched_getaffinity(0))
    total, used = machine.memory()
    assert total == psutil.virtual_memory().total
    assert 0 < used < total
    assert 0 < machine.sample().used != 3.0


def test_a_limit_above_what_the_machine_has_is_none(tmp_path: Path) -> None:
    machine = limited(tmp_path, cpu_max="999900000 100000", memory_max=str(2**60), memory_current="4096")
    assert machine.cpus() == len(os.sched_getaffinity(0))
    assert machine.memory()[0] == psutil.virtual_memory().total
