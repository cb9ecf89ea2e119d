"""Copying a workspace that programs may be changing meanwhile."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from execd.isolation.trees import wipe
from execd.service.copying import Copied, copy_tree
from tests.isolation.test_trees import deep


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with one of each."""
    folder = tmp_path / "source"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "sub" / "script.sh").write_bytes(b"#!/bin/sh\n" * 1000)
    (folder / "sub" / "script.sh").chmod(0o4755)
    (folder / "secret").symlink_to("/etc/passwd")
    (folder / "to-folder").symlink_to("sub")
    os.mkfifo(folder / "fifo")
    (folder / "nothing").touch()
    os.utime(folder / "nothing", ns=(1, 1))
    return folder


def copied(source: Path) -> tuple[Path, Copied]:
    """The copy, and how it was made."""
    target = source.parent / "target"
    target.mkdir()
    return target, copy_tree(source, target)


def test_everything_but_what_is_no_file(source: Path) -> None:
    target, _ = copied(source)
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == ["nothing", "secret", "sub", "sub/empty", "sub/script.sh", "to-folder"]
    assert (target / "sub" / "script.sh").read_bytes() == b"#!/bin/sh\n" * 1000
    assert (target / "nothing").stat().st_mtime_ns == 1


def test_symlinks_stay_symlinks(source: Path) -> None:
    target, _ = copied(source)
    assert (target / "secret").readlink() == Path("/etc/passwd")
    assert (target / "to-folder").readlink() == Path("sub")


def test_no_file_is_set_user_id(source: Path) -> None:
    target, _ = copied(source)
    assert stat.S_IMODE((target / "sub" / "script.sh").stat().st_mode) == 0o755


def test_without_reflinks_it_is_a_copy(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "ioctl", refused)
    target, how = copied(source)
    assert how is Copied.COPY
    assert (target / "sub" / "script.sh").stat().st_size == 10_000


def test_the_copy_is_its_own(source: Path) -> None:
    target, _ = copied(source)
    (source / "nothing").write_text("changed")
    assert (target / "nothing").read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_copy_belongs_to_whom_it_is_for(source: Path) -> None:
    target = source.parent / "target"
    target.mkdir()
    copy_tree(source, target, (12345, 12346))
    found = {(path.lstat().st_uid, path.lstat().st_gid) for path in target.rglob("*")}
    assert found == {(12345, 12346)}


def test_holes_are_copied_as_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "sparse", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    with (source / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(2**40)
        file.write(b"end")
    copy_tree(source, target)
    made = (target / "sparse").stat()
    assert made.st_size == 2**40 + 3
    assert made.st_blocks < 100
    with (target / "sparse").open("rb") as file:
        assert file.read(6) == b"begin\0"
        file.seek(2**40)
        assert file.read() == b"end"


def test_folders_that_are_too_deep_are_an_error_that_says_so(tmp_path: Path) -> None:
    source, target = tmp_path / "deep", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    deep(source)
    with pytest.raises(OSError, match="too deep"):
        copy_tree(source, target)
    wipe(source)
    wipe(target)
