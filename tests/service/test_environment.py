"""What a process in the sandbox finds in its environment, and paths that name variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from execd.errors import InvalidRequest
from execd.service.environment import Environment, expand_path, sandbox_environment
from execd.service.workspace import check_folder
from tests.machine import MACHINE

SERVICE = {
    "PATH": "/bin",
    "HOME": "/home/me",
    "LC_ALL": "C",
    "LC_TIME": "C",
    "LCD": "1",
    "AWS_SECRET": "s",
    "EXECD_ACCESS_TOKEN": "t",
}


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        ([], set()),
        (["PATH"], {"PATH"}),
        (["LC_*"], {"LC_ALL", "LC_TIME"}),
        (["path"], set()),
        (["*"], {"PATH", "HOME", "LC_ALL", "LC_TIME", "LCD", "AWS_SECRET"}),
        (["EXECD_*", "EXECD_ACCESS_TOKEN"], set()),
    ],
)
def test_only_what_is_allowed_passes_and_never_our_own(allowed: list[str], names: set[str]) -> None:
    assert sandbox_environment(SERVICE, allowed) == {name: SERVICE[name] for name in names}


@pytest.fixture
def envs(tmp_path: Path) -> Path:
    """The file of persistent variables."""
    return tmp_path / "envs"


@pytest.fixture
def environment(envs: Path) -> Environment:
    """An environment over that file."""
    return Environment(MACHINE, {"PATH": "/bin", "A": "base"}, {"A": "fixed", "B": "fixed", "PWD": "/wrong"}, envs)


def test_it_is_layered(environment: Environment, envs: Path) -> None:
    envs.write_text("B=file\nC=file of $A in $PATH\nD=file\n")
    assert environment.build(Path("/work"), {"D": "request"}) == {
        "PATH": "/bin",
        "A": "fixed",
        "B": "file",
        "C": "file of fixed in /bin",
        "D": "request",
        "PWD": "/work",
        "EXECD_ENVS": str(envs),
    }


def test_the_file_counts_as_it_is_at_that_moment(environment: Environment, envs: Path) -> None:
    assert "C" not in environment.lasting()
    envs.write_text("C=1")
    assert environment.lasting()["C"] == "1"
    envs.write_text("C=2")
    assert environment.lasting()["C"] == "2"
    envs.unlink()
    assert "C" not in environment.lasting()


def test_what_one_process_adds_does_not_last(environment: Environment) -> None:
    environment.build(Path("/work"), {"X": "1"})
    assert "X" not in environment.build(Path("/work"))


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("/a/b", "/a/b"),
        ("a b", "a b"),
        ("~", "/home/me"),
        ("~/x", "/home/me/x"),
        ("~other/x", "~other/x"),
        ("a/~", "a/~"),
        ("$HOME/x", "/home/me/x"),
        ("${HOME}x/$A", "/home/mex/1"),
        ("$", "$"),
        ("${HOME", "${HOME"),
        ("$1", "$1"),
        ("$A_", "2"),
    ],
)
def test_a_path_s_variables(path: str, expanded: str) -> None:
    assert expand_path(path, {"HOME": "/home/me", "A": "1", "A_": "2"}, "cwd") == expanded


@pytest.mark.parametrize("path", ["$NOT_SET", "${NOT_SET}/x", "x$HOMEx"])
def test_a_variable_that_is_not_set_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match="that are set") as caught:
        expand_path(path, {"HOME": "/home/me"}, "cwd")
    assert caught.value.field == "cwd"


def test_without_a_home_there_is_the_root() -> None:
    assert expand_path("~/x", {}, "cwd") == "//x"


class TestFolder:
    def test_one_that_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        check_folder(MACHINE, tmp_path, "cwd")
        check_folder(MACHINE, tmp_path / "link", "cwd")

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("gone", "there is none"),
            ("file", "it is no folder"),
            ("file/below", "there is none"),
            ("loop", "there is none"),
            ("x" * 300, "File name too long"),
            ("x/" * 3000, "File name too long"),
        ],
    )
    def test_one_that_is_not(self, tmp_path: Path, name: str, why: str) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(InvalidRequest, match=why) as caught:
            check_folder(MACHINE, tmp_path / name, "cwd")
        assert caught.value.field == "cwd"
