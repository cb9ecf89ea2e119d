"""Watching folders."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import anyio
import pytest

from execd.errors import FileNotFound, NotADirectory, TooManyWatches
from execd.service.folder_watch import Change
from execd.service.journal import Slice
from execd.service.landing import PendingFile, Syncing
from execd.service.ownership import Permission
from execd.service.watch import FileChange, Watches, in_order
from tests.isolation.walls import NAMESPACES
from tests.machine import MACHINE

pytestmark = pytest.mark.anyio


@pytest.fixture
def watches() -> Watches:
    return Watches(MACHINE)


async def until(records: AsyncIterator[Slice], kind: str, path: Path) -> list[dict[str, Any]]:
    """All events up to this one, which must come."""
    seen: list[dict[str, Any]] = []
    with anyio.fail_after(60):
        async for found in records:
            for record in found.records:
                seen.append(json.loads(record))
                if (seen[-1]["type"], seen[-1]["path"]) == (kind, str(path)):
                    return seen
    raise AssertionError(f"ended without it: {seen}")


def told(events: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(event["type"], Path(event["path"]).name) for event in events}


async def test_what_happens_in_a_folder_is_told(watches: Watches, tmp_path: Path) -> None:
    file = tmp_path / "file"
    records = await watches.start(tmp_path, recursive=False)
    assert told(await until(records, "init", tmp_path)) == {("init", tmp_path.name)}
    file.write_text("1")
    await until(records, "file_created", file)
    file.write_text("2")
    await until(records, "file_modified", file)
    file.unlink()
    [*_, last] = await until(records, "file_deleted", file)
    assert isinstance(last["timestamp"], int)


async def test_nothing_is_missed_once_it_has_started(watches: Watches, tmp_path: Path) -> None:
    records = await watches.start(tmp_path, recursive=False)
    (tmp_path / "file").touch()
    await until(records, "file_created", tmp_path / "file")


async def test_records_are_numbered_without_gaps(watches: Watches, tmp_path: Path) -> None:
    records = await watches.start(tmp_path, recursive=False)
    expected = 1
    for at in range(3):
        (tmp_path / str(at)).touch()
        with anyio.fail_after(60):
            found = await anext(records)
        assert found.first == expected
        expected = found.last + 1


@pytest.mark.parametrize("recursive", [True, False])
async def test_folders_in_it_are_watched_when_asked_for(watches: Watches, tmp_path: Path, recursive: bool) -> None:
    (tmp_path / "folder").mkdir()
    records = await watches.start(tmp_path, recursive)
    (tmp_path / "folder/inner").touch()
    (tmp_path / "outer").touch()
    (tmp_path / "outer").unlink()
    seen = await until(records, "file_deleted", tmp_path / "outer")
    assert (("file_created", "inner") in told(seen)) is recursive


async def test_what_comes_together_with_a_folder_is_told_once(watches: Watches, tmp_path: Path) -> None:
    records = await watches.start(tmp_path, recursive=True)
    seen: list[dict[str, Any]] = []
    for at in range(20):
        inner = tmp_path / str(at) / "inner/most"
        inner.mkdir(parents=True)
        (inner / "file").touch()
        seen += await until(records, "file_created", inner / "file")
    (tmp_path / "end").touch()
    seen += await until(records, "file_created", tmp_path / "end")
    created = [event["path"] for event in seen if event["type"] == "file_created"]
    assert len(created) == len(set(created)) == 20 * 4 + 1


async def test_a_folder_that_is_moved_in_is_told_with_its_content(watches: Watches, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    (outside / "inner").mkdir(parents=True)
    (outside / "inner/file").touch()
    (outside / "link").symlink_to("/")
    records = await watches.start(inside, recursive=True)
    outside.rename(inside / "moved")
    seen = await until(records, "file_created", inside / "moved/link")
    assert told(seen) >= {("file_created", name) for name in ("moved", "inner", "file", "link")}
    assert all(Path(event["path"]).is_relative_to(inside) for event in seen)


async def test_content_on_its_way_is_not_told_of(watches: Watches, tmp_path: Path) -> None:
    records = await watches.start(tmp_path, recursive=False)
    pending = PendingFile(MACHINE, tmp_path / "file", Permission())
    pending.write(b"x")
    pending.settle(Syncing())
    pending.land()
    seen = await until(records, "file_created", tmp_path / "file")
    assert {name for _, name in told(seen)} == {tmp_path.name, "file"}


async def test_it_ends_with_the_folder(watches: Watches, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    records = await watches.start(folder, recursive=True)
    (folder / "file").touch()
    shutil.rmtree(folder)
    await until(records, "file_deleted", folder)
    with anyio.fail_after(60):
        assert [found async for found in records] == []
    assert len(watches) == 0


async def test_it_ends_with_the_service(watches: Watches, tmp_path: Path) -> None:
    records = await watches.start(tmp_path, recursive=False)
    assert len((await anext(records)).records) == 1
    watches.close()
    with anyio.fail_after(60):
        assert [found async for found in records] == []
    assert len(watches) == 0


async def test_a_cancelled_reader_gives_its_place_back(tmp_path: Path) -> None:
    watches = Watches(MACHINE, most=1)
    records = await watches.start(tmp_path, recursive=False)
    with pytest.raises(TooManyWatches):
        await watches.start(tmp_path, recursive=False)
    await anext(records)
    async with anyio.create_task_group() as group:
        group.start_soon(until, records, "never", tmp_path)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert len(watches) == 0
    again = await watches.start(tmp_path, recursive=False)
    assert (await anext(again)).first == 1


async def test_a_watch_that_nobody_reads_gives_its_place_back(tmp_path: Path) -> None:
    watches = Watches(MACHINE, most=1)
    await watches.start(tmp_path, recursive=False)
    with anyio.fail_after(60):
        while len(watches):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(("name", "error"), [("missing", FileNotFound), ("file", NotADirectory)])
async def test_what_is_no_folder_is_not_watched(
    watches: Watches, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(error):
        await watches.start(tmp_path / name, recursive=True)
    assert len(watches) == 0


_WITHOUT = """
import sys
from pathlib import Path
Path("/proc/sys/user", sys.argv[1]).write_text("0")
from execd.errors import NoWatchLeft
from execd.isolation.root import Root
from execd.service.folder_watch import FolderWatch
try:
    FolderWatch(Root.machine(), Path(sys.argv[2]), False).begin()
except NoWatchLeft as refused:
    print(refused)
"""


@NAMESPACES
@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_the_machine_lets_no_more_be_watched(limit: str, tmp_path: Path) -> None:
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", _WITHOUT, limit, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.startswith("the machine lets no more folders be watched")
    assert told.stderr == ""


ADDED, MODIFIED, DELETED = 1, 2, 3


@pytest.mark.parametrize(
    ("changes", "ordered"),
    [
        ({(ADDED, "/gone"), (DELETED, "/gone")}, [Change.CREATED, Change.DELETED]),
        ({(ADDED, "/there"), (DELETED, "/there")}, [Change.DELETED, Change.CREATED]),
        ({(MODIFIED, "/there"), (ADDED, "/there")}, [Change.CREATED, Change.MODIFIED]),
        (
            {(DELETED, "/there"), (MODIFIED, "/there"), (ADDED, "/there")},
            [Change.DELETED, Change.CREATED, Change.MODIFIED],
        ),
    ],
)
def test_changes_of_a_path_are_in_the_order_that_fits(changes: set[tuple[int, str]], ordered: list[Change]) -> None:
    assert [found.change for found in in_order(changes, lambda path: path == "/there")] == ordered


def test_changes_are_sorted_by_path() -> None:
    found = in_order({(ADDED, "/b"), (ADDED, "/a"), (ADDED, "/x/.execd-landing_y")}, lambda _: True)
    assert found == [FileChange(Change.CREATED, "/a"), FileChange(Change.CREATED, "/b")]
