"""Files: known, deleted, moved, given a mode; and the threads in which that is done."""

from __future__ import annotations

import os
import stat
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from execd.errors import (
    DestinationExists,
    FileForbidden,
    FileNotFound,
    InvalidRequest,
    NotADirectory,
    NotAFile,
    PathUnusable,
)
from execd.isolation.identity import Identity
from execd.service.fileinfo import FileInfo, moment
from execd.service.files import Files, delete, info_of, move, set_permission
from execd.service.moving import move_across
from execd.service.ownership import Names, Permission
from execd.service.paths import Paths
from tests.machine import MACHINE

ROOT = os.geteuid() == 0
PLAIN = Identity(54321, 54321) if ROOT else Identity.own()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    return path


def test_what_is_known_of_a_file(file: Path) -> None:
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))
    found = info_of(MACHINE, file)
    names = Names(MACHINE.accounts)
    expected = FileInfo(
        path=str(file),
        type="file",
        size=5,
        modified_at=datetime(2023, 11, 14, 22, 13, 20, 123456, UTC),
        created_at=moment(file.stat().st_ctime_ns),
        owner=names.user(os.geteuid()),
        group=names.group(file.stat().st_gid),
        mode=640,
    )
    assert found == expected


def test_a_symlink_is_shown_itself(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to("nowhere")
    assert (info_of(MACHINE, link).type, info_of(MACHINE, link).path) == ("symlink", str(link))


@pytest.mark.parametrize(("nanoseconds", "year"), [(10**30, 9999), (-(10**30), 1), (-1, 1969)])
def test_times_that_no_calendar_has(nanoseconds: int, year: int) -> None:
    assert moment(nanoseconds).year == year
    assert moment(nanoseconds).tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "error"),
    [("missing", FileNotFound), ("file/below", PathUnusable), ("loop/x", PathUnusable), ("x" * 300, PathUnusable)],
)
def test_paths_that_lead_nowhere(file: Path, name: str, error: type[Exception]) -> None:
    (file.parent / "loop").symlink_to("loop")
    with pytest.raises(error):
        info_of(MACHINE, file.parent / name)


def test_files_and_symlinks_are_deleted_and_folders_are_not(file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file.parent)
    delete(MACHINE, link)
    assert file.exists()
    delete(MACHINE, file)
    delete(MACHINE, file)
    assert not file.exists()
    with pytest.raises(NotAFile, match="is a directory"):
        delete(MACHINE, file.parent)


def test_modes_are_set_and_what_is_missing_is_told(file: Path) -> None:
    set_permission(MACHINE, file, Permission(0o600))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(FileNotFound):
        set_permission(MACHINE, file.with_name("missing"), Permission(0o600))
    with pytest.raises(InvalidRequest):
        set_permission(MACHINE, file, Permission(0, "nobody-of-this-name"))


def test_others_files_may_not_be_changed(public_folder: Path) -> None:
    target = public_folder / "file" if ROOT else Path("/etc/hostname")
    if ROOT:
        target.touch()
    with PLAIN.assumed():
        with pytest.raises(FileForbidden):
            set_permission(MACHINE, target, Permission(0o777))
        with pytest.raises(FileForbidden):
            delete(MACHINE, target)


class TestMove:
    """Files and folders get another path."""

    def test_a_file_and_the_folders_above_its_new_place(self, file: Path) -> None:
        move(MACHINE, file, file.parent / "a/b/c")
        assert (file.parent / "a/b/c").read_bytes() == b"12345"
        assert not file.exists()

    def test_a_folder_with_all_that_is_in_it(self, file: Path) -> None:
        move(MACHINE, file.parent, file.parent.with_name(f"{file.parent.name}-moved"))
        assert (file.parent.with_name(f"{file.parent.name}-moved") / "file").exists()

    @pytest.mark.parametrize("name", ["file", "link", "folder"])
    def test_nothing_is_replaced(self, file: Path, name: str) -> None:
        file.with_name("link").symlink_to("nowhere")
        file.with_name("folder").mkdir()
        with pytest.raises(DestinationExists, match=f"{name}'"):
            move(MACHINE, file, file.with_name(name))
        assert file.read_bytes() == b"12345"

    def test_what_is_missing_is_told_and_no_folder_made(self, file: Path) -> None:
        with pytest.raises(FileNotFound, match="missing'"):
            move(MACHINE, file.with_name("missing"), file.parent / "a/b")
        assert not (file.parent / "a").exists()

    def test_a_folder_cannot_be_moved_into_itself(self, file: Path) -> None:
        with pytest.raises(PathUnusable):
            move(MACHINE, file.parent, file.parent / "below")
        assert file.exists()

    def test_a_file_is_no_folder_to_move_into(self, file: Path) -> None:
        other = file.with_name("other")
        other.touch()
        with pytest.raises((NotADirectory, PathUnusable)):
            move(MACHINE, other, file / "below")


class TestMoveAcross:
    """The same from one file system to another: copied whole, then removed."""

    def test_a_tree_arrives_as_it_was(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / "folder").mkdir(parents=True)
        (source / "folder/file").write_bytes(b"12345")
        (source / "folder/file").chmod(0o4711)
        (source / "link").symlink_to("nowhere")
        os.utime(source / "folder/file", ns=(1, 1_000_000_007))
        if ROOT:
            for path in [source, source / "folder", source / "folder/file", source / "link"]:
                os.chown(path, 54321, 54322, follow_symlinks=False)
        names = [source, source / "folder", source / "folder/file", source / "link"]
        before = [self.facts(path) for path in names]
        self.move(source, tmp_path / "destination")
        assert [self.facts(tmp_path / "destination" / path.relative_to(source)) for path in names] == before
        assert (tmp_path / "destination/folder/file").read_bytes() == b"12345"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["destination"]

    def test_a_file(self, file: Path) -> None:
        before = self.facts(file)
        self.move(file, file.with_name("moved"))
        assert self.facts(file.with_name("moved")) == before
        assert not file.exists()

    def test_what_cannot_be_read_is_refused_and_nothing_is_left(self, file: Path) -> None:
        source = file.parent / "source"
        source.mkdir()
        (source / "a").touch()
        os.mkfifo(source / "fifo")
        with pytest.raises(NotAFile, match="is a FIFO"):
            self.move(source, file.with_name("moved"))
        assert sorted(path.name for path in file.parent.iterdir()) == ["file", "source"]
        assert sorted(path.name for path in source.iterdir()) == ["a", "fifo"]

    def move(self, source: Path, destination: Path) -> None:
        with MACHINE.entry(source) as origin, MACHINE.entry(destination) as place:
            move_across(origin, place)

    def facts(self, path: Path) -> tuple[int, ...]:
        found = path.lstat()
        time = 0 if path.is_symlink() or path.is_dir() else found.st_mtime_ns
        return found.st_mode, found.st_uid, found.st_gid, time


class TestFiles:
    """Where the work is done."""

    @pytest.fixture
    def files(self) -> Files:
        return Files(MACHINE, Paths(Path("/"), dict))

    @pytest.mark.anyio
    async def test_not_in_the_loops_thread(self, files: Files) -> None:
        assert await files.run(threading.get_ident) != threading.get_ident()

    @pytest.mark.anyio
    async def test_as_another_user_for_this_work_only(self, files: Files, public_folder: Path) -> None:
        public_folder.chmod(0o777)
        await files.run((public_folder / "theirs").touch, PLAIN)
        await files.run((public_folder / "ours").touch)
        assert (public_folder / "theirs").stat().st_uid == PLAIN.uid
        assert (public_folder / "ours").stat().st_uid == os.geteuid()

    @pytest.mark.anyio
    async def test_what_has_begun_is_done(self, files: Files) -> None:
        begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            go_on.wait()
            done.set()

        async with anyio.create_task_group() as group:
            group.start_soon(partial(files.run, work))
            await anyio.to_thread.run_sync(begun.wait)
            group.cancel_scope.cancel()
            go_on.set()
        assert done.is_set()
