"""Content on its way to its place."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from execd.errors import FileFailed, FileForbidden, InvalidRequest, NotAFile, PathUnusable
from execd.isolation.identity import Identity
from execd.service.landing import PendingFile, Syncing, anonymous_file, copy, sync_folders, write_all
from execd.service.ownership import Permission
from tests.machine import MACHINE

ROOT = os.geteuid() == 0
PLAIN = Identity(54321, 54321) if ROOT else Identity.own()


@contextmanager
def pending(target: Path, permission: Permission | None = None) -> Iterator[PendingFile]:
    """A pending file, discarded in the end."""
    found = PendingFile(MACHINE, target, permission or Permission())
    try:
        yield found
    finally:
        found.discard()


def land(file: PendingFile, content: bytes = b"new") -> None:
    """All of a pending file's life."""
    syncing = Syncing()
    file.write(content)
    file.settle(syncing)
    syncing.finish()
    file.land()
    sync_folders(MACHINE, file.folders)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_old_content_is_there_until_the_new_one_lands(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with pending(target) as file:
        file.write(b"ne")
        file.write(b"w")
        file.settle(Syncing())
        assert target.read_bytes() == b"old"
        file.land()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_what_has_not_landed_leaves_no_trace(tmp_path: Path) -> None:
    with pending(tmp_path / "a/b/file") as file:
        file.write(b"new")
        assert names(tmp_path)[:2] == ["a", "a/b"]
    assert names(tmp_path) == []
    file.discard()


def test_discarding_after_landing_changes_nothing(tmp_path: Path) -> None:
    with pending(tmp_path / "a/file") as file:
        land(file)
    assert names(tmp_path) == ["a", "a/file"]
    assert file.folders == {tmp_path, tmp_path / "a"}


def test_a_new_file_has_what_was_asked_for(tmp_path: Path) -> None:
    with pending(tmp_path / "plain") as file:
        land(file)
    assert stat.S_IMODE((tmp_path / "plain").stat().st_mode) == 0o644
    owner = "54321" if ROOT else str(os.geteuid())
    with pending(tmp_path / "a/asked", Permission(0o4750, owner)) as file:
        land(file)
    found = (tmp_path / "a/asked").stat()
    assert (stat.S_IMODE(found.st_mode), str(found.st_uid)) == (0o4750, owner)
    assert str((tmp_path / "a").stat().st_uid) == owner


def test_what_is_left_alone_stays_as_the_old_file_had_it(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.touch()
    target.chmod(0o604)
    if ROOT:
        os.chown(target, 54321, 54322)
    before = target.stat()
    with pending(target) as file:
        land(file)
    after = target.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing yet"])
def test_what_a_symlink_points_to_is_replaced(tmp_path: Path, there: bool) -> None:
    (tmp_path / "folder").mkdir()
    if there:
        (tmp_path / "folder/file").write_text("old")
    (tmp_path / "link").symlink_to("folder/file")
    with pending(tmp_path / "link") as file:
        land(file)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder/file").read_text() == "new"
    assert names(tmp_path) == ["folder", "folder/file", "link"]


def test_a_symlink_loop_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(PathUnusable):
        PendingFile(MACHINE, tmp_path / "loop", Permission())


@pytest.mark.parametrize("kind", ["directory", "FIFO", "character device"])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, kind: str) -> None:
    target = Path("/dev/null") if kind == "character device" else tmp_path / "there"
    if kind == "directory":
        target.mkdir()
    elif kind == "FIFO":
        os.mkfifo(target)
    with pytest.raises(NotAFile, match=f"is a {kind}"):
        PendingFile(MACHINE, target, Permission())


def test_an_unknown_owner_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        PendingFile(MACHINE, tmp_path / "a/file", Permission(0, "nobody-of-this-name"))
    assert names(tmp_path) == []


def test_the_size_is_checked(tmp_path: Path) -> None:
    with pending(tmp_path / "file") as file:
        file.write(b"12345")
        [temporary] = tmp_path.iterdir()
        os.truncate(temporary, 3)
        with pytest.raises(FileFailed, match="wrote 5 bytes, and 3 are there"):
            file.settle(Syncing())
    assert names(tmp_path) == []


@pytest.fixture
def forbidding(public_folder: Path) -> Iterator[Path]:
    """A folder that a plain user may read but not write to, with a file in it that may be written to."""
    folder = public_folder / "folder"
    folder.mkdir()
    file = folder / "file"
    file.write_text("something that is longer")
    file.chmod(0o666)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


class TestFolderThatIsNotWritable:
    """The file in it can still be written to, in place."""

    def test_the_content_is_written_through(self, forbidding: Path) -> None:
        target = forbidding / "file"
        before = target.stat().st_ino
        with PLAIN.assumed(), pending(target) as file:
            file.write(b"new")
            file.settle(Syncing())
            assert target.read_text() == "something that is longer"
            file.land()
        assert (target.read_text(), target.stat().st_ino) == ("new", before)

    def test_nothing_new_can_be_made(self, forbidding: Path) -> None:
        with PLAIN.assumed(), pytest.raises(FileForbidden, match="new'"):
            PendingFile(MACHINE, forbidding / "new", Permission())

    def test_a_file_that_is_not_writable_is_refused_at_once(self, forbidding: Path) -> None:
        (forbidding / "file").chmod(0o444)
        with PLAIN.assumed(), pytest.raises(FileForbidden):
            PendingFile(MACHINE, forbidding / "file", Permission())


def test_a_mount_point_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    target = tmp_path / "file"
    target.write_text("something that is longer")
    before = target.stat().st_ino
    with pending(target, Permission(0o600)) as file, monkeypatch.context() as patched:
        patched.setattr(os, "replace", busy)
        land(file)
    assert (target.read_text(), target.stat().st_ino) == ("new", before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names(tmp_path) == ["file"]


def test_few_files_are_synced_one_by_one_and_many_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    syncing = Syncing()
    with (tmp_path / "file").open("wb") as file:
        for _ in range(100):
            syncing.add(file.fileno())
    assert 0 < len(synced) < 100
    before = open_descriptors()
    syncing.finish()
    assert open_descriptors() == before - 1
    syncing.close()


def test_a_stretch_of_another_file_is_added(tmp_path: Path) -> None:
    source = anonymous_file()
    write_all(source, b"0123456789")
    with pending(tmp_path / "file") as file:
        file.write(b"<")
        file.fill(source, 2, 5)
        land(file, b">")
    assert (tmp_path / "file").read_bytes() == b"<23456>"
    os.close(source)


def test_a_stretch_that_is_not_there_is_told() -> None:
    source = anonymous_file()
    with pytest.raises(OSError, match="became shorter"):
        copy(source, 0, 1, source)
    os.close(source)
