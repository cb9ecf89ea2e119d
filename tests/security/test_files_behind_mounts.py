"""The files of a process in another mount namespace and another root, as those of a walled sandbox are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from execd.errors import FileForbidden
from execd.isolation.root import Root
from execd.service.directories import listed, remove
from execd.service.files import info_of, move
from tests.security.file_operations import REFUSED, attempt

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can mount; behind walls of a user's it is the same"
)

# Mounts, changes its root, says so, and stays.
INHABITANT = """
import os, subprocess, sys
root = sys.argv[1]
for kind, source, target in [("tmpfs", "none", "tmp"), ("proc", "none", "proc")]:
    subprocess.run(["mount", "-t", kind, source, f"{root}/{target}"], check=True)
for source, target in [("volume", "mnt"), ("volume/file", "file")]:
    subprocess.run(["mount", "--bind", f"{root}/../{source}", f"{root}/{target}"], check=True)
os.chroot(root)
os.chdir("/")
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("inside/tmp", "inside/proc", "inside/mnt", "inside/home/folder", "volume"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "inside/file").touch()
    (tmp_path / "volume/file").write_text("of the volume")
    (tmp_path / "inside/home/folder/file").write_text("content")
    return tmp_path


@pytest.fixture
def root(folder: Path) -> Iterator[Root]:
    command = ["unshare", "--mount", "--", sys.executable, "-c", INHABITANT, str(folder / "inside")]
    # The mounts end with the process.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        opened = Root(os.open(f"/proc/{process.pid}/root", os.O_PATH))
        try:
            yield opened
        finally:
            opened.close()
            process.stdin.close()


@pytest.fixture
def walled() -> Iterator[Root]:
    """A sandbox with a user namespace, in which file systems are its own."""
    if shutil.which("bwrap") is None:
        pytest.skip("there is no bubblewrap")
    binds = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--tmpfs", "/tmp"]
    for name in ("lib", "lib64"):
        binds += ["--symlink", f"usr/{name}", f"/{name}"]
    inside = ["sh", "-c", "echo ready; read -r _"]
    command = ["bwrap", "--unshare-all", "--uid", "1000", "--gid", "1000", "--proc", "/proc", *binds, *inside]
    listed, told = os.pipe()
    command[1:1] = ["--info-fd", str(told)]
    drop: dict[str, Any] = {"user": 54321, "group": 54321, "extra_groups": []}
    with subprocess.Popen(command, stdin=-1, stdout=-1, pass_fds=[told], cwd="/", text=True, **drop) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        os.close(told)
        assert process.stdout.readline()
        with os.fdopen(listed) as info:
            pid = json.load(info)["child-pid"]
        opened = Root(os.open(f"/proc/{pid}/root", os.O_PATH), (54321, 54321))
        try:
            yield opened
        finally:
            opened.close()
            process.stdin.close()


def test_behind_walls_the_service_is_the_sandboxs_user(walled: Root) -> None:
    with walled.acting():
        assert attempt("upload", walled, PurePath("/tmp/new/file")) == "None"
        found = info_of(walled, PurePath("/tmp/new/file"))
        assert "FileForbidden" in attempt("upload", walled, PurePath("/usr/new"))
        assert attempt("upload", walled, PurePath("/proc/sys/kernel/core_pattern")).startswith(REFUSED)
    assert found.owner == "1000"
    walled.make_folder(PurePath("/tmp/below"))


def test_mounts_are_seen_as_they_are_inside(root: Root) -> None:
    assert [info.path for info in listed(root, PurePath("/mnt"), 1)] == ["/mnt/file"]
    assert attempt("download", root, PurePath("/file")) == repr(b"of the volume")
    assert "FileNotFound" in attempt("list", root, PurePath("/volume"))


def test_a_tree_moves_from_one_mount_to_another(root: Root, folder: Path) -> None:
    move(root, PurePath("/home/folder"), PurePath("/tmp/new/folder"))
    assert not (folder / "inside/home/folder").exists()
    assert list((folder / "inside/tmp").iterdir()) == []
    move(root, PurePath("/tmp/new/folder"), PurePath("/home/back"))
    assert (folder / "inside/home/back/file").read_text() == "content"


def test_a_file_that_is_a_mount_point_is_written_through(root: Root, folder: Path) -> None:
    assert attempt("upload", root, PurePath("/file")) == "None"
    assert (folder / "volume/file").read_text() == "uploaded"
    assert (folder / "inside/file").read_text() == ""


def test_a_mount_point_stays_where_it_is(root: Root, folder: Path) -> None:
    for path in ("/mnt", "/file", "/tmp"):
        with pytest.raises(FileForbidden, match="busy"):
            remove(root, PurePath(path))
    assert [path.name for path in (folder / "volume").iterdir()] == ["file"]
    assert "FileForbidden" in attempt("move_away", root, PurePath("/mnt"))


def test_what_is_mounted_below_a_folder_outlives_it(root: Root, folder: Path) -> None:
    move(root, PurePath("/home"), PurePath("/tmp/home"))
    assert "FileForbidden" in attempt("delete", root, PurePath("/file"))
    with pytest.raises(FileForbidden):
        move(root, PurePath("/mnt"), PurePath("/tmp/mnt"))
    assert attempt("download", root, PurePath("/mnt/file")) == repr(b"of the volume")
    assert attempt("info", root, PurePath("/tmp/home/folder/file")).startswith("FileInfo")


@pytest.mark.parametrize("link", ["root", "cwd", "exe", "fd/0"])
def test_the_links_of_its_proc_lead_nowhere(root: Root, link: str) -> None:
    for process in ("self", "1", "thread-self"):
        for below in ("", "/etc/passwd", "/root"):
            for name in ("download", "list", "search", "watch", "read_text"):
                said = attempt(name, root, PurePath(f"/proc/{process}/{link}{below}"))
                assert said.startswith(REFUSED), said
