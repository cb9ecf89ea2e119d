"""How a checkout gets its Python and its packages."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from scripts import environment


def find(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Looks for a Python from a checkout in this folder, where only the folder's own commands are to be found."""
    script = shutil.copy(environment.ROOT / "scripts" / "find-python", folder / "scripts")
    return subprocess.run([script], env={"PATH": str(folder), **variables}, check=False, capture_output=True, text=True)


def command(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


class TestFindPython:
    @pytest.fixture(autouse=True)
    def checkout(self, tmp_path: Path) -> None:
        (tmp_path / "scripts").mkdir()

    def test_passes_over_a_newer_command_that_fails_when_called(self, tmp_path: Path) -> None:
        command(tmp_path / "python3.13", "echo 'command not found' >&2; exit 127")
        command(tmp_path / "python3", f"exec '{sys.executable}' \"$@\"")
        found = find(tmp_path)
        assert (found.returncode, found.stderr) == (0, "")
        assert Path(found.stdout.strip()).samefile(sys.executable)

    def test_stays_with_the_one_that_the_environment_was_made_with(self, tmp_path: Path) -> None:
        command(tmp_path / "python3.13", "echo newer")
        venv.create(tmp_path / ".venv")
        assert Path(find(tmp_path).stdout.strip()).samefile(sys.executable)

    def test_passes_over_a_command_of_another_version(self, tmp_path: Path) -> None:
        command(tmp_path / "python3", "exit 1")
        assert find(tmp_path).returncode == 1

    def test_says_what_to_install_when_there_is_none(self, tmp_path: Path) -> None:
        found = find(tmp_path)
        assert (found.returncode, found.stdout) == (1, "")
        assert "apt-get install python3 python3-venv" in found.stderr

    def test_takes_the_one_that_is_named(self, tmp_path: Path) -> None:
        command(tmp_path / "python3", "echo wrong")
        assert Path(find(tmp_path, PYTHON=sys.executable).stdout.strip()).samefile(sys.executable)

    def test_refuses_a_named_one_that_does_not_work(self, tmp_path: Path) -> None:
        command(tmp_path / "python3", f"exec '{sys.executable}' \"$@\"")
        found = find(tmp_path, PYTHON="python-that-is-not-there")
        assert (found.returncode, found.stdout) == (1, "")
        assert "PYTHON=python-that-is-not-there" in found.stderr


class TestIsCurrent:
    @pytest.fixture(autouse=True)
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "requirements").mkdir()
        (tmp_path / ".venv").mkdir()
        for name in ("pyproject.toml", "requirements/build.txt", "requirements/serving.txt"):
            (tmp_path / name).write_text(name)
        (tmp_path / "requirements" / "development.txt").write_text("all")
        monkeypatch.setattr(environment, "ROOT", tmp_path)
        monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
        monkeypatch.setattr(environment, "UNFINISHED", tmp_path / ".venv" / "execd-unfinished")
        return tmp_path

    def stamp(self, checkout: Path, name: str) -> None:
        (checkout / ".venv" / f"execd-{name}").write_text(environment.set_digest(name))

    def test_an_empty_environment_holds_nothing(self) -> None:
        assert not environment.is_current("serving")

    def test_development_holds_serving_too(self, checkout: Path) -> None:
        self.stamp(checkout, "development")
        assert environment.is_current("serving")

    def test_serving_does_not_hold_development(self, checkout: Path) -> None:
        self.stamp(checkout, "serving")
        assert environment.is_current("serving")
        assert not environment.is_current("development")

    @pytest.mark.parametrize("name", ["pyproject.toml", "requirements/build.txt", "requirements/serving.txt"])
    def test_a_changed_file_is_installed_again(self, checkout: Path, name: str) -> None:
        self.stamp(checkout, "serving")
        (checkout / name).write_text("changed")
        assert not environment.is_current("serving")

    def test_an_installation_that_was_broken_off_does_not_count(self, checkout: Path) -> None:
        self.stamp(checkout, "serving")
        environment.UNFINISHED.touch()
        assert not environment.is_current("serving")


class TestMake:
    def test_prints_the_commands_when_called_without_one(self) -> None:
        printed = subprocess.run(
            ["make"], cwd=environment.ROOT, env={"PATH": os.environ["PATH"]}, check=True, capture_output=True, text=True
        ).stdout
        for name in ("serve", "test", "check", "demo", "bench", "format", "pins", "clean", "help"):
            assert f"make {name}" in printed
