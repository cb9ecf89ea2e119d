"""The seccomp profile for containers: what is in it, and what a container can do with it and without."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from execd.isolation import probe
from execd.isolation.plan import Mode
from scripts.seccomp import REFUSED
from tests.isolation import container
from tests.isolation.walls import NAMESPACES, ROOT

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PROFILE = json.loads((REPOSITORY / "deploy" / "seccomp-sandbox.json").read_text())
ADDED = ["clone", "unshare", "setns", "mount", "umount2", "pivot_root", "sethostname"]
PYTHON = "/usr/bin/python3"
PROBE = """
import json, sys
sys.path.insert(0, "/shown")
from execd.isolation.probe import probe
found = probe(None)
print(json.dumps([found.obstacles, found.fresh_proc]))
"""


def allowed() -> list[str]:
    return [name for rule in PROFILE["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]]


def default_profile() -> dict[str, Any]:
    """What engines take by default: ours without what it adds, and with clone for all but namespaces."""
    profile: dict[str, Any] = copy.deepcopy(PROFILE)
    [added] = [rule for rule in profile["syscalls"] if rule["names"] == ADDED]
    added["names"] = ["clone"]
    added["args"] = [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    return profile


class TestProfile:
    def test_allows_what_sandboxes_are_made_with_and_no_more_of_that_kind(self) -> None:
        # What a container without capabilities may call by default although a sandbox may not.
        harmless = {"adjtimex", "clock_adjtime", "modify_ldt"}
        assert set(REFUSED) & set(allowed()) == {*ADDED, *harmless} - {"clone", "unshare"}

    def test_has_every_name_once(self) -> None:
        names = [name for name in allowed() if name != "personality"]
        assert len(names) == len(set(names))

    def test_has_a_form_that_kubernetes_reads_too(self) -> None:
        # It knows no conditions on capabilities or architectures, and would allow what they forbid.
        assert {key for rule in PROFILE["syscalls"] for key in rule} == {
            "comment",
            "names",
            "action",
            "args",
            "errnoRet",
        }


@ROOT
@NAMESPACES
class TestContainer:
    @pytest.fixture
    def folder(self, public_folder: Path) -> Path:
        if shutil.which("runc") is None or not Path(PYTHON).exists():
            pytest.skip("runc or the system's Python is not installed")
        shutil.copytree(REPOSITORY / "execd" / "isolation", public_folder / "shown" / "execd" / "isolation")
        (public_folder / "shown" / "execd" / "__init__.py").touch()
        tried = container.run(public_folder, ["true"], None, public_folder / "shown")
        if tried.returncode != 0:
            pytest.skip(f"runc cannot make a container here: {tried.stderr}")
        return public_folder

    def probed(self, folder: Path, profile: dict[str, Any], *, masked: bool = True) -> tuple[dict[str, str], bool]:
        """What keeps modes from being used in a container, and whether a sandbox in it may have its own /proc."""
        done = container.run(folder, [PYTHON, "-c", PROBE], profile, folder / "shown", masked=masked)
        assert done.returncode == 0, done.stderr
        obstacles, fresh_proc = json.loads(done.stdout)
        return obstacles, fresh_proc

    def test_with_the_profile_has_the_strongest_walls(self, folder: Path) -> None:
        assert self.probed(folder, PROFILE, masked=False) == ({}, True)

    def test_whose_proc_is_masked_lets_sandboxes_see_it(self, folder: Path) -> None:
        assert self.probed(folder, PROFILE) == ({}, False)

    def test_without_it_has_landlock(self, folder: Path) -> None:
        found, _ = self.probed(folder, default_profile())
        assert set(found) == {"bwrap"}
        with pytest.raises(probe.Refused, match=r"namespace.*deploy/seccomp-sandbox\.json"):
            probe.choose("bwrap", probe.Facts({Mode(mode): why for mode, why in found.items()}))
