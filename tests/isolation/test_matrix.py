"""What hostile code reaches from inside, in each mode, of a service that is root and of one that is a plain user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from execd.isolation.plan import Mode
from tests.isolation.attempts import SUCCEEDED, outcomes
from tests.isolation.forks import in_fork
from tests.isolation.outside import outside
from tests.isolation.walls import NAMESPACES, PLAIN_USER, ROOT, Sandbox, plan, sandbox

pytestmark = [ROOT, NAMESPACES]

SERVICES = pytest.mark.parametrize("service", [None, PLAIN_USER], ids=["root", "plain"])
"""Who the service is."""

# What a mode does not cover; guarantees.py says so, too.
OPEN = {
    Mode.BWRAP: {"listen on a port"},
    Mode.LANDLOCK: {"see the service", "connect to a socket"},
}
# Where sandbox and service are one user, nothing but Landlock is between them.
OPEN_TO_THE_SAME_USER = {"connect to a private socket"}
UNCERTAIN = {"signal everybody"}
"""Succeeds where there is anybody whom one may signal, oneself not counted."""


def tried(mode: Mode, room: tuple[Path, Path], service: int | None, *, fresh_proc: bool = True) -> dict[str, str]:
    """What came of every attempt."""
    folder, workspace = room

    def work() -> Any:
        wanted = plan(mode, workspace)
        with outside(folder) as there, sandbox(wanted, folder, fresh_proc=fresh_proc) as inside:
            return inside.call(lambda: outcomes(there, wanted.workspace))

    found: dict[str, str] = in_fork(work, service)
    return found


@SERVICES
class TestReachable:
    def test_from_a_sandbox_with_namespaces(self, room: tuple[Path, Path], service: int | None) -> None:
        found = tried(Mode.BWRAP, room, service)
        assert {name for name, outcome in found.items() if outcome == SUCCEEDED} - UNCERTAIN == OPEN[Mode.BWRAP]

    def test_from_one_that_sees_the_processes_of_a_container(
        self, room: tuple[Path, Path], service: int | None
    ) -> None:
        found = tried(Mode.BWRAP, room, service, fresh_proc=False)
        known = OPEN[Mode.BWRAP] | {"see the service"}
        assert {name for name, outcome in found.items() if outcome == SUCCEEDED} - UNCERTAIN == known

    def test_from_one_that_landlock_restricts(self, room: tuple[Path, Path], service: int | None) -> None:
        found = tried(Mode.LANDLOCK, room, service)
        known = OPEN[Mode.LANDLOCK] | (set() if service is None else OPEN_TO_THE_SAME_USER)
        assert {name for name, outcome in found.items() if outcome == SUCCEEDED} - UNCERTAIN == known

    def test_the_attempts_would_succeed_without_walls(self, room: tuple[Path, Path], service: int | None) -> None:
        found = tried(Mode.PROCESS, room, service)
        assert {
            "read a file that everybody may read",
            "see the service",
            "connect to the service's port",
            "connect to an abstract socket",
            "connect to a socket",
            "reach the world",
            "listen on a port",
            "use the kernel's keys",
        } <= {name for name, outcome in found.items() if outcome == SUCCEEDED}


def inside_of(mode: Mode, room: tuple[Path, Path], service: int | None, work: Callable[[Sandbox], Any]) -> Any:
    """What the work returns that is done with a sandbox."""
    folder, workspace = room

    def whole() -> Any:
        with sandbox(plan(mode, workspace), folder) as inside:
            return work(inside)

    return in_fork(whole, service)


@SERVICES
@pytest.mark.parametrize("mode", [Mode.BWRAP, Mode.LANDLOCK])
class TestInhabitant:
    def test_has_no_power_left(self, mode: Mode, room: tuple[Path, Path], service: int | None) -> None:
        status = inside_of(mode, room, service, lambda inside: inside.call(_status))
        none = "0" * 16
        assert {name: status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == dict.fromkeys(
            ("CapInh", "CapPrm", "CapEff", "CapAmb"), none
        )
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert 0 not in [int(number) for number in status["Uid"].split()]

    def test_has_only_the_descriptors_that_it_was_given(
        self, mode: Mode, room: tuple[Path, Path], service: int | None
    ) -> None:
        count = inside_of(mode, room, service, lambda inside: inside.call(lambda: len(os.listdir("/proc/self/fd"))))
        assert count == 5  # the standard ones, the test's answer, and the listing itself

    def test_may_read_its_own_environment(self, mode: Mode, room: tuple[Path, Path], service: int | None) -> None:
        # What is not dumpable may not, and no debugger works on it.
        assert inside_of(mode, room, service, lambda inside: inside.run("cat /proc/self/environ"))[0] == 0

    def test_is_what_the_machine_kills_first(self, mode: Mode, room: tuple[Path, Path], service: int | None) -> None:
        code, text = inside_of(mode, room, service, lambda inside: inside.run("cat /proc/self/oom_score_adj"))
        assert (code, text.strip()) == (0, "500")


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
