"""Folders: listed, searched, made, removed."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from execd.errors import FileForbidden, FileNotFound, InvalidRequest, NotADirectory
from execd.isolation.identity import Identity
from execd.service.directories import listed, make, remove, searched
from execd.service.globs import Glob
from execd.service.ownership import Permission
from tests.machine import MACHINE

ROOT = os.geteuid() == 0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, folders and symlinks, some of which lead out of it or round in a circle."""
    root = tmp_path / "root"
    for name in ["b/c/deep.txt", "b/z.py", "a.py", "B.txt", "é.py"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "b/up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").touch()
    (root / "out").symlink_to(tmp_path / "outside")
    return root


def found(root: Path, depth: int) -> list[str]:
    return [os.path.relpath(info.path, root) for info in listed(MACHINE, root, depth)]


def test_a_folder_is_listed_by_name(tree: Path) -> None:
    assert found(tree, 1) == ["B.txt", "a.py", "b", "loop", "out", "é.py"]


def test_each_folder_comes_before_what_is_in_it(tree: Path) -> None:
    assert found(tree, 2) == ["B.txt", "a.py", "b", "b/c", "b/up", "b/z.py", "loop", "out", "é.py"]
    assert found(tree, 99) == ["B.txt", "a.py", "b", "b/c", "b/c/deep.txt", "b/up", "b/z.py", "loop", "out", "é.py"]


def test_depth_0_shows_nothing(tree: Path) -> None:
    assert found(tree, 0) == []


def test_types(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    types = {Path(info.path).name: info.type for info in listed(MACHINE, tree, 1)}
    assert types == {
        "B.txt": "file",
        "a.py": "file",
        "b": "directory",
        "fifo": "other",
        "loop": "symlink",
        "out": "symlink",
        "é.py": "file",
    }


@pytest.mark.parametrize(
    ("name", "error"), [("a.py", NotADirectory), ("out", NotADirectory), ("missing", FileNotFound)]
)
def test_what_is_no_folder_is_not_listed(tree: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        listed(MACHINE, tree / name, 0)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.py", ["a.py", "b/z.py", "é.py"]),
        ("deep.*", ["b/c/deep.txt"]),
        ("[A-Z].txt", ["B.txt"]),
        ("{a,z}.py", ["a.py", "b/z.py"]),
        ("c", []),
        ("b/*.py", []),
        ("**", ["B.txt", "a.py", "b/c/deep.txt", "b/up", "b/z.py", "loop", "out", "é.py"]),
    ],
)
def test_a_search_compares_base_names_of_files(tree: Path, pattern: str, names: list[str]) -> None:
    assert [os.path.relpath(info.path, tree) for info in searched(MACHINE, tree, Glob(pattern))] == names


@pytest.mark.parametrize(("name", "error"), [("a.py", NotADirectory), ("missing", FileNotFound)])
def test_what_is_no_folder_is_not_searched(tree: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        searched(MACHINE, tree / name, Glob("*"))


def test_a_search_may_begin_at_a_symlink(tree: Path) -> None:
    assert [info.path for info in searched(MACHINE, tree / "out", Glob("*"))] == [str(tree / "out/secret.py")]


def test_names_that_are_not_utf_8_are_shown(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"x\xff")).touch()
    assert [info.path for info in listed(MACHINE, tmp_path, 1)] == [f"{tmp_path}/x\ufffd"]


def test_a_tree_deeper_than_a_path_can_name_is_listed_as_far_as_it_goes(tmp_path: Path) -> None:
    name, depth = "d" * 200, 30
    top = folder = os.open(tmp_path, os.O_RDONLY)
    descriptors = [top]
    for _ in range(depth):
        os.mkdir(name, dir_fd=folder)
        folder = os.open(name, os.O_RDONLY, dir_fd=folder)
        descriptors.append(folder)
    for descriptor in descriptors:
        os.close(descriptor)
    assert 10 < len(list(listed(MACHINE, tmp_path, -1))) < depth
    remove(MACHINE, tmp_path)
    assert not tmp_path.exists()


def test_what_cannot_be_read_is_left_out(public_folder: Path) -> None:
    tmp_path = public_folder
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed/file").touch()
    (tmp_path / "open").touch()
    (tmp_path / "closed").chmod(0)
    with (Identity(54321, 54321) if ROOT else Identity.own()).assumed():
        assert found(tmp_path, 5) == ["closed", "open"]
        with pytest.raises(FileForbidden):
            listed(MACHINE, tmp_path / "closed", 1)
        with pytest.raises(FileForbidden):
            remove(MACHINE, tmp_path / "closed")
    (tmp_path / "closed").chmod(0o700)


def test_a_folder_is_made_with_those_above(tmp_path: Path) -> None:
    make(MACHINE, tmp_path / "a/b", Permission(0o711))
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) != 0o711


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    make(MACHINE, tmp_path, Permission(0o700, "nobody-of-this-name"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_what_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in [tmp_path / "file", tmp_path / "file/below"]:
        with pytest.raises(NotADirectory):
            make(MACHINE, path, Permission())
    with pytest.raises(InvalidRequest):
        make(MACHINE, tmp_path / "a", Permission(0, "nobody-of-this-name"))
    assert not (tmp_path / "a").exists()


def test_everything_in_a_folder_is_removed_and_nothing_that_it_points_to(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "s"))
        remove(MACHINE, tree)
    assert not tree.exists()
    assert (tree.parent / "outside/secret.py").exists()


def test_what_is_not_there_needs_no_removing(tmp_path: Path) -> None:
    remove(MACHINE, tmp_path / "missing")


def test_a_symlink_is_removed_itself(tree: Path) -> None:
    remove(MACHINE, tree / "out")
    assert not (tree / "out").is_symlink()
    assert (tree.parent / "outside/secret.py").exists()


@pytest.mark.parametrize("path", ["/", "/.", "/usr/.."])
def test_the_root_is_not_removed(path: str) -> None:
    with pytest.raises(FileForbidden, match="root of everything"):
        remove(MACHINE, Path(path))
