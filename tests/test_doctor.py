"""`execd doctor`: what it finds on this machine, and where something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from execd.isolation.plan import Limits, Mode
from tests.isolation.walls import NAMESPACES


def doctor(data_dir: Path, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What it says, with the programs of this folder, if there is one, before all others."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    environment |= {"PATH": f"{path}:{environment['PATH']}"} if path else {}
    environment["EXECD_DATA_DIR"] = str(data_dir)
    command = [sys.executable, "-m", "execd", "doctor", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def low_on_files(data_dir: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What it says where few files may be open."""
    script = 'ulimit -n 600; exec "$0" -m execd doctor "$@"'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXECD_")}
    environment["EXECD_DATA_DIR"] = str(data_dir)
    command = ["bash", "-c", script, sys.executable, *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def told(data_dir: Path, *options: str, path: Path | None = None) -> dict[str, Any]:
    ended = doctor(data_dir, "--json", *options, path=path)
    assert ended.stderr == ""
    found: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == (0 if found["works"] else 1)
    return found


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A folder with a bubblewrap that makes no sandboxes."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "bwrap").symlink_to("/bin/false")
    return tmp_path / "bin"


@NAMESPACES
class TestHere:
    def test_everything_is_told_and_nothing_is_changed(self, tmp_path: Path) -> None:
        found = told(tmp_path / "data")
        assert (found["auto"], found["isolation"], found["chosen"]) == ("bwrap", "auto", "bwrap")
        assert found["problems"] == []
        assert [mode["mode"] for mode in found["modes"]] == list(Mode)
        for mode in found["modes"]:
            assert mode["guarantees"]
            assert mode["not_covered"]
            assert mode["limits"].keys() == Limits.__dataclass_fields__.keys()
            assert list(mode["networks"]) == ["none", "proxy", "full"]
        assert found["bubblewrap"].endswith("/bwrap")
        assert found["bubblewrap_version"][0].isdigit()
        assert found["libraries"].keys() >= {"ipykernel", "numpy", "pandas", "matplotlib"}
        assert not (tmp_path / "data").exists()

    def test_people_read_the_same(self, tmp_path: Path) -> None:
        ended = doctor(tmp_path / "data")
        assert ended.returncode == 0
        assert ended.stdout.startswith("EXECD_ISOLATION=auto takes bwrap.\n")
        assert "\nbwrap: yes, taken\n" in ended.stdout
        assert max(map(len, ended.stdout.splitlines())) <= 110

    def test_limits_that_are_too_low(self, tmp_path: Path) -> None:
        ended = low_on_files(tmp_path / "data", "--sandbox-processes", "100")
        # It can serve, only less than it is told to.
        assert ended.returncode == 0
        said = " ".join(ended.stdout.split())
        assert "Warning: the hard limit of open files is 600: enough for about 28 contexts" in said
        assert "LimitNOFILE=" in said
        assert "Warning: EXECD_SANDBOX_PROCESSES is 100: enough for about 16 contexts" in said
        assert max(map(len, ended.stdout.splitlines())) <= 110

    def test_limits_for_machines(self, tmp_path: Path) -> None:
        found = json.loads(low_on_files(tmp_path / "data", "--json").stdout)
        assert found["problems"] == []
        [files] = [ceiling for ceiling in found["ceilings"] if ceiling["resource"] == "open files"]
        assert (files["allows"], files["bound"]) == (600, "the hard limit of open files")
        assert files["needs"] > 600


class TestMissing:
    def test_bubblewrap(self, forbidden: Path, tmp_path: Path) -> None:
        found = told(tmp_path / "data", path=forbidden)
        [bwrap] = [mode for mode in found["modes"] if mode["mode"] == "bwrap"]
        assert (bwrap["works"], bwrap["obstacle"]) == (False, "bubblewrap has ended without a word")
        assert "deploy/README.md" in bwrap["remedy"]
        assert found["auto"] != "bwrap"

    def test_bubblewrap_that_was_asked_for(self, forbidden: Path, tmp_path: Path) -> None:
        ended = doctor(tmp_path / "data", "--isolation", "bwrap", path=forbidden)
        assert ended.returncode == 1
        assert "EXECD_ISOLATION=bwrap is set, and is not to be had." in ended.stdout
        assert "Problem: this machine allows no isolation of the kind that is wanted" in ended.stdout

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            (("--kernel-python", "/bin/true"), "EXECD_KERNEL_PYTHON: /bin/true does not run: it is no Python"),
            (("--egress-allow", '["not a host"]'), "EXECD_EGRESS_ALLOW: expected a name"),
            (("--data-dir", "/dev/null/data"), "cannot use the data folder: /dev/null cannot be written"),
            (("--isolation", "landlock", "--network", "proxy"), "EXECD_NETWORK=proxy is not to be had"),
        ],
    )
    def test_what_serving_takes(self, options: tuple[str, ...], problem: str, tmp_path: Path) -> None:
        found = told(tmp_path / "data", *options)
        assert not found["works"]
        assert any(each.startswith(problem) for each in found["problems"])

    def test_options_that_make_no_sense(self, tmp_path: Path) -> None:
        ended = doctor(tmp_path / "data", "--network", "some")
        assert ended.returncode == 2
        assert "network: Input should be" in ended.stderr
