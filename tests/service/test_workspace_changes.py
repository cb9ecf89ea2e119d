"""Which files of a workspace changed while a run was under way. With inotify, and with scans where that cannot be."""

from __future__ import annotations

import mmap
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePath

import anyio
import anyio.lowlevel
import pytest

from execd.isolation.root import Root
from execd.service import workspace_watch
from execd.service.workspace_changes import Candidates, WorkspaceChanges, candidates
from execd.service.workspace_scan import ScanTooLong, changed_since, moment
from execd.service.workspace_watch import Touched, WorkspaceWatch
from tests.machine import MACHINE

pytestmark = pytest.mark.anyio


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "sub" / "old.txt").write_text("old")
    return tmp_path


@pytest.fixture
def changes(workspace: Path) -> Iterator[WorkspaceChanges]:
    found = WorkspaceChanges(MACHINE, workspace)
    yield found
    found.close()


async def during(changes: WorkspaceChanges, run: Callable[[], object]) -> Candidates:
    """What a run that does this has changed, as far as a watch knows."""
    await_tick()
    span = await changes.begin()
    assert span.complete
    run()
    return await changes.end(span)


def real(found: Candidates, workspace: Path) -> set[str]:
    """Those that count: the others were only closed, and have not been modified since."""
    late = {path for path in found.perhaps if (workspace / path).stat().st_mtime_ns >= found.since}
    return {*found.written} | late


def keep_times(path: Path, content: str) -> None:
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("more")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("new")
    other.replace(path)


def map_it(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 3) as mapped:
        mapped[0:1] = b"X"


def make_tree(workspace: Path) -> None:
    (workspace / "a" / "b").mkdir(parents=True)
    (workspace / "a" / "b" / "c.txt").write_text("new")
    (workspace / "a").rename(workspace / "z")
    (workspace / "z" / "d.txt").write_text("new")


CHANGES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "nothing": (lambda _: None, set()),
    "read": (lambda at: (at / "old.txt").read_text(), set()),
    "created": (lambda at: (at / "new.txt").write_text("new"), {"new.txt"}),
    "created empty": (lambda at: (at / "new.txt").touch(), {"new.txt"}),
    "overwritten": (lambda at: (at / "sub" / "old.txt").write_text("new"), {"sub/old.txt"}),
    "overwritten, times kept": (lambda at: keep_times(at / "old.txt", "new"), {"old.txt"}),
    "appended": (lambda at: append(at / "old.txt"), {"old.txt"}),
    "replaced": (lambda at: replace(at / "old.txt"), {"old.txt"}),
    "touched": (lambda at: (at / "old.txt").touch(), {"old.txt"}),
    "renamed": (lambda at: (at / "old.txt").rename(at / "sub" / "moved.txt"), {"sub/moved.txt"}),
    "mapped": (lambda at: map_it(at / "old.txt"), {"old.txt"}),
    "mode": (lambda at: (at / "old.txt").chmod(0o600), set()),
    "opened to write": (lambda at: (at / "old.txt").open("a").close(), set()),
    "deleted": (lambda at: (at / "old.txt").unlink(), set()),
    "a tree that moves": (make_tree, {"z/b/c.txt", "z/d.txt"}),
    "a folder renamed": (lambda at: (at / "sub").rename(at / "bus"), {"bus/old.txt"}),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_what_a_run_changes_is_found(name: str, changes: WorkspaceChanges, workspace: Path) -> None:
    run, expected = CHANGES[name]
    assert real(await during(changes, lambda: run(workspace)), workspace) - {"other"} == expected


def await_tick() -> int:
    """A moment that, on an old kernel too, lies in another tick than what the fixture has written."""
    before = moment()
    while (now := moment()) <= before:
        pass
    return now


SCANNED = {name: found for name, found in CHANGES.items() if name not in ("mode", "a folder renamed")}


@pytest.mark.parametrize("name", SCANNED)
def test_a_scan_finds_the_same(name: str, workspace: Path) -> None:
    run, expected = SCANNED[name]
    since = await_tick()
    run(workspace)
    assert set(changed_since(MACHINE, workspace, since, 60)) == expected


async def test_what_changes_between_runs_is_nobodys(changes: WorkspaceChanges, workspace: Path) -> None:
    await during(changes, lambda: None)
    (workspace / "old.txt").write_text("by somebody else")
    (workspace / "new").mkdir()
    (workspace / "new" / "a.txt").write_text("by somebody else")
    assert not await during(changes, lambda: None)
    # What is in the new folder is watched all the same.
    found = await during(changes, lambda: (workspace / "new" / "a.txt").write_text("by the run"))
    assert found.written == ("new/a.txt",)


async def test_runs_that_overlap_each_have_what_changed_meanwhile(changes: WorkspaceChanges, workspace: Path) -> None:
    first = await changes.begin()
    (workspace / "1").touch()
    second = await changes.begin()
    (workspace / "2").touch()
    assert (await changes.end(first)).written == ("1", "2")
    (workspace / "3").touch()
    assert (await changes.end(second)).written == ("2", "3")


async def test_engine_folders_are_neither_watched_nor_told_of(changes: WorkspaceChanges, workspace: Path) -> None:
    def run() -> None:
        for folder in (".git", "__pycache__", "node_modules", "mine"):
            (workspace / folder / "deep").mkdir(parents=True)
            (workspace / folder / "deep" / "file").touch()
        (workspace / "mine" / "pyvenv.cfg").touch()
        (workspace / "a.pyc").touch()

    assert not await during(changes, run)
    assert not await during(changes, lambda: (workspace / ".git" / "deep" / "file").write_text("more"))
    assert not await during(changes, lambda: (workspace / "mine" / "deep" / "file").write_text("more"))


async def test_a_folder_that_becomes_a_virtual_environment_is_left_alone(
    changes: WorkspaceChanges, workspace: Path
) -> None:
    await during(changes, (workspace / "env").mkdir)
    await during(changes, (workspace / "env" / "pyvenv.cfg").touch)
    assert not await during(changes, (workspace / "env" / "python").touch)


async def test_symlinks_lead_nowhere(changes: WorkspaceChanges, workspace: Path) -> None:
    outside = workspace.parent / f"{workspace.name}-outside"
    outside.mkdir()
    (workspace / "link").symlink_to(outside)
    span = await changes.begin()
    (outside / "secret").touch()
    (workspace / "link2").symlink_to(outside)
    # The links themselves are candidates, what they lead to is not.
    assert (await changes.end(span)).written == ("link2",)


async def test_what_a_run_has_done_before_anybody_watched_is_found_by_a_scan(
    changes: WorkspaceChanges, workspace: Path
) -> None:
    began = await_tick()
    (workspace / "a").touch()
    span = await changes.begin(began)
    (workspace / "b").touch()
    assert (await changes.end(span)).written == ("a", "b")


async def test_folders_that_are_deleted_are_watched_no_longer(changes: WorkspaceChanges, workspace: Path) -> None:
    await during(changes, lambda: (workspace / "a" / "b").mkdir(parents=True))
    await during(changes, lambda: shutil.rmtree(workspace / "a"))
    (workspace / "a").mkdir()
    found = await during(changes, (workspace / "a" / "new.txt").touch)
    assert found.written == ("a/new.txt",)
    assert changes._watch is not None
    assert sorted(changes._watch._watched.values()) == ["", "a", "sub"]


async def test_a_look_that_takes_too_long_is_given_up(
    changes: WorkspaceChanges, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = await changes.begin()
    (workspace / "new.txt").touch()
    monkeypatch.setattr(workspace_watch, "MOST_SECONDS", -1)
    assert "new.txt" in (await changes.end(span)).written
    assert not span.complete


class Deaf(WorkspaceWatch):
    """A watch that has missed something as soon as anything happens."""

    def read(self) -> Touched:
        touched = super().read()
        self.complete = False
        return touched


async def test_a_watch_that_missed_something_is_replaced_by_a_scan(workspace: Path) -> None:
    changes = WorkspaceChanges(MACHINE, workspace, Deaf)
    span, other = await changes.begin(), await changes.begin()
    (workspace / "new.txt").touch()
    assert "new.txt" in (await changes.end(span)).written
    assert not span.complete
    # The other run's span is looked after in the same way, and the next run has a watch again.
    assert "new.txt" in (await changes.end(other)).written
    assert (await changes.begin()).complete
    changes.close()


async def test_a_workspace_with_too_many_folders_is_scanned(workspace: Path) -> None:
    changes = WorkspaceChanges(MACHINE, workspace, partial(WorkspaceWatch, most_folders=1))
    span = await changes.begin()
    assert not span.complete
    (workspace / "sub" / "new.txt").touch()
    assert "sub/new.txt" in (await changes.end(span)).written


async def test_where_no_watch_can_be_had_there_are_scans(workspace: Path) -> None:
    def refuse(root: Root, folder: PurePath) -> WorkspaceWatch:
        raise OSError("too many watches")

    changes = WorkspaceChanges(MACHINE, workspace, refuse)
    span = await changes.begin()
    (workspace / "new.txt").touch()
    assert "new.txt" in (await changes.end(span)).written


async def test_a_scan_that_takes_too_long_says_so(workspace: Path) -> None:
    changes = WorkspaceChanges(MACHINE, workspace, partial(WorkspaceWatch, most_folders=1), scan_seconds=0)
    assert not (await changes.end(await changes.begin())).all_seen
    with pytest.raises(ScanTooLong):
        changed_since(MACHINE, workspace, 0, 0)


async def test_a_workspace_that_is_gone_has_nothing(workspace: Path) -> None:
    changes = WorkspaceChanges(MACHINE, workspace / "none")
    assert not await changes.end(await changes.begin())


async def test_a_workspace_that_is_exchanged_is_looked_at_anew(changes: WorkspaceChanges, workspace: Path) -> None:
    span = await changes.begin()
    workspace.rename(workspace.with_name("away"))
    workspace.mkdir()
    (workspace / "new.txt").touch()
    assert (await changes.end(span)).written == ("new.txt",)


async def test_the_queue_running_over_is_noticed(changes: WorkspaceChanges, workspace: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 20_000:
        pytest.skip("the kernel keeps more notices than a test should make")
    span = await changes.begin()
    first, second = (workspace / "old.txt").open("a"), (workspace / "sub" / "old.txt").open("a")
    with first, second:
        for _ in range(most // 2 + 1):
            # Two that alternate, since the kernel puts equal ones together.
            os.write(first.fileno(), b"x")
            os.write(second.fileno(), b"x")
    found = await changes.end(span)
    assert not span.complete
    assert {"old.txt", "sub/old.txt"} <= {*found.written}


async def test_whoever_keeps_on_writing_is_not_waited_for(changes: WorkspaceChanges, workspace: Path) -> None:
    began, enough = threading.Event(), threading.Event()

    def write() -> None:
        with (workspace / "old.txt").open("a") as first, (workspace / "sub" / "old.txt").open("a") as second:
            while not enough.is_set():
                os.write(first.fileno(), b"x")
                os.write(second.fileno(), b"x")
                began.set()

    span = await changes.begin()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        await anyio.to_thread.run_sync(began.wait)
        assert {"old.txt", "sub/old.txt"} <= {*(await changes.end(span)).written}
    finally:
        enough.set()
        writer.join()


async def test_after_close_runs_are_scanned(changes: WorkspaceChanges) -> None:
    changes.close()
    span = await changes.begin()
    assert not span.complete
    changes.forget(span)
    changes.forget(span)


def test_nothing_is_a_candidate_twice() -> None:
    found = candidates(Touched({"b", "a"}, {"a", "c"}), 5)
    assert (found.written, found.perhaps, found.since) == (("a", "b"), ("c",), 5)
