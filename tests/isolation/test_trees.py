"""Removing folders that hostile code has left."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from execd.isolation.trees import clear, wipe
from tests.isolation.forks import in_fork
from tests.isolation.walls import PLAIN_USER, ROOT

DEPTH = 3000
CLONE_NEWNS = 0x20000


def deep(folder: Path) -> None:
    """Folders in folders, deeper than a path can be long or Python can call itself."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)


def test_however_deep(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    deep(left)
    wipe(left)
    assert not left.exists()


def test_links_lead_nowhere(tmp_path: Path) -> None:
    left, kept = tmp_path / "left", tmp_path / "kept"
    for folder in (left, kept):
        folder.mkdir()
        (folder / "file").touch()
    (left / "link").symlink_to(kept)
    (tmp_path / "other").symlink_to(kept)
    wipe(left)
    wipe(tmp_path / "other")
    wipe(tmp_path / "nothing")
    assert not left.exists()
    assert (kept / "file").exists()


def test_a_folder_that_is_cleared_stays(tmp_path: Path) -> None:
    left, kept = tmp_path / "left", tmp_path / "kept"
    (left / "a" / "b").mkdir(parents=True)
    (left / "a" / "b" / "file").touch()
    (left / "a" / "b").chmod(0o500)
    kept.touch()
    (left / "link").symlink_to(kept)
    left.chmod(0o1077)
    found = os.open(left, os.O_PATH)
    clear(found)
    os.close(found)
    assert list(left.iterdir()) == []
    assert left.stat().st_mode & 0o7777 == 0o1777
    assert kept.exists()


@ROOT
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o500])
def test_what_its_owner_has_forbidden(public_folder: Path, mode: int) -> None:
    os.chown(public_folder, PLAIN_USER, PLAIN_USER)
    left = public_folder / "left"

    def forbid_and_wipe() -> bool:
        (left / "a" / "b").mkdir(parents=True)
        (left / "a" / "b" / "file").touch()
        for folder in (left / "a" / "b", left / "a", left):
            folder.chmod(mode)
        wipe(left)
        return left.exists()

    assert in_fork(forbid_and_wipe, PLAIN_USER) is False


@ROOT
def test_what_is_mounted_in_it_stays(tmp_path: Path) -> None:
    left = tmp_path / "left"
    for folder in ("a/mounted", "a/b", "c/d"):
        (left / folder).mkdir(parents=True)
    for file in ("a/file", "c/d/mounted", "c/file"):
        (left / file).touch()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()

    def mount_and_clear() -> list[str]:
        assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
        for arguments in (
            ["--make-rprivate", "/"],
            ["--bind", kept, left / "a/mounted"],
            ["--bind", kept / "file", left / "c/d/mounted"],
        ):
            subprocess.run(["mount", *arguments], check=True)
        found = os.open(left, os.O_PATH)
        clear(found)
        return sorted(str(path.relative_to(left)) for path in left.rglob("*"))

    assert in_fork(mount_and_clear) == ["a", "a/mounted", "a/mounted/file", "c", "c/d", "c/d/mounted"]
    assert (kept / "file").exists()
