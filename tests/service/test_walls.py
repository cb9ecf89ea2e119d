"""What is chosen for the sandboxes of a service, and what they are shown of the machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from execd.errors import CannotServe
from execd.isolation.plan import Mode
from execd.isolation.probe import Facts
from execd.service.packages import KernelPython, describe_python
from execd.service.preflight import check_python
from execd.service.sites import sight
from execd.service.walls import Walls, network_missing
from execd.settings import Settings

PYTHON = KernelPython("/usr/bin/python3.12", "3.12.4", (), prefixes=("/opt/kernels", "/usr"))


class ToldBy:
    """A warden that has found this out."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    async def probe(self, _user: int | None) -> Facts:
        return self._facts


@pytest.mark.parametrize("wanted", ["auto", "bwrap"])
async def test_no_weaker_walls_are_taken_than_were_asked_for(wanted: str, tmp_path: Path) -> None:
    facts = Facts({Mode.BWRAP: "no\nnamespaces", Mode.LANDLOCK: "too old"})
    settings = Settings.model_validate({"data_dir": tmp_path, "isolation": wanted})
    with pytest.raises(CannotServe, match=r"no namespaces.*EXECD_ISOLATION=process serves without walls") as refused:
        await Walls.find(settings, PYTHON, ToldBy(facts), None)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("network", "mode", "why"),
    [
        ("none", Mode.LANDLOCK, None),
        ("proxy", Mode.BWRAP, None),
        ("proxy", Mode.LANDLOCK, "in the mode landlock sandboxes have no network"),
        ("full", Mode.LANDLOCK, "in the mode landlock sandboxes have no network"),
        ("proxy", Mode.PROCESS, "the machine's network as it is"),
        ("full", Mode.PROCESS, None),
    ],
)
def test_which_networks_there_are(network: str, mode: Mode, why: str | None) -> None:
    found = network_missing(network, mode)
    assert found is None if why is None else why in (found or "")


class TestSight:
    def test_is_the_kernels_and_their_python_but_for_what_the_system_is(self, tmp_path: Path) -> None:
        settings = Settings.model_validate({"data_dir": tmp_path / "data", "kernels_dir": tmp_path / "kernels"})
        assert sight(settings, PYTHON) == tuple(sorted(("/opt/kernels", str(tmp_path / "kernels"))))

    def test_is_never_the_whole_machine(self, tmp_path: Path) -> None:
        settings = Settings.model_validate({"data_dir": tmp_path / "data", "kernels_dir": tmp_path / "kernels"})
        assert "/" not in sight(settings, replace(PYTHON, base="/bin/python3", prefixes=("/",)))

    @pytest.mark.parametrize("private", ["data_dir", "workspace"])
    def test_never_holds_what_is_private(self, private: str, tmp_path: Path) -> None:
        settings = Settings.model_validate({"data_dir": tmp_path / "data", private: tmp_path / "python" / "x"})
        with pytest.raises(CannotServe, match="would be seen by every sandbox"):
            sight(settings, replace(PYTHON, prefixes=(str(tmp_path / "python"),)))

    def test_is_no_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        with pytest.raises(CannotServe, match="/home/me is in there"):
            sight(Settings.model_validate({"data_dir": tmp_path}), replace(PYTHON, prefixes=("/home/me",)))


class TestKernelPython:
    def test_of_the_tests_does(self, tmp_path: Path) -> None:
        check_python(Settings.model_validate({"data_dir": tmp_path}), describe_python(Path(sys.executable)))

    @pytest.mark.parametrize(
        ("python", "why"),
        [
            (replace(PYTHON, version="3.9.1"), "is Python 3.9.1; expected 3.11 or later"),
            (replace(PYTHON, has_ipykernel=False), "has no ipykernel"),
        ],
    )
    def test_of_another_kind_does_not(self, python: KernelPython, why: str, tmp_path: Path) -> None:
        with pytest.raises(CannotServe, match=why):
            check_python(Settings.model_validate({"data_dir": tmp_path}), python)
