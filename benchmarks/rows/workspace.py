"""What it costs a run to know which files of a large workspace it has changed."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from benchmarks.errors import RowFailed
from benchmarks.measure import Samples, Take
from benchmarks.row import AtMost, Claim, Row
from benchmarks.workbench import Workbench
from execd.isolation.root import Root
from execd.service.workspace_changes import WorkspaceChanges

_FOLDERS = 100
_FILES = 100
_RUNS = 20


@contextmanager
def _open(_: Workbench) -> Iterator[list[Take]]:
    with tempfile.TemporaryDirectory(prefix="bench") as name:
        workspace = Path(name)
        for number in range(_FOLDERS):
            folder = workspace / f"folder{number}"
            folder.mkdir()
            for file in range(_FILES):
                (folder / f"file{file}").touch()
        yield [lambda: anyio.run(_look, workspace), lambda: {"bare scan": [_timed(lambda: _scan(name))]}]


async def _look(workspace: Path) -> Samples:
    changes = WorkspaceChanges(Root.machine(), workspace)
    try:
        started = time.perf_counter()
        changes.forget(await changes.begin())
        first = time.perf_counter() - started
        unchanged = [await _run(changes, 0, lambda: None) for _ in range(_RUNS)]
        written = [await _run(changes, 1, lambda: _write(workspace / "folder7" / "file7")) for _ in range(_RUNS)]
        return {"first": [first], "unchanged": unchanged, "one file": written}
    finally:
        changes.close()


async def _run(changes: WorkspaceChanges, expected: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    span = await changes.begin()
    before = time.perf_counter() - started
    work()
    started = time.perf_counter()
    found = await changes.end(span)
    seconds = before + time.perf_counter() - started
    if len(found.written) != expected:
        raise RowFailed(f"{len(found.written)} files were found to have changed, not {expected}")
    return seconds


def _write(path: Path) -> None:
    path.write_text("changed")


def _scan(folder: str) -> int:
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += _scan(entry.path)
            else:
                entry.stat(follow_symlinks=False)
                count += 1
    return count


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


ROWS = (
    Row(
        "10k-files",
        "what it costs a run to know which of 10,000 files it has changed",
        "s",
        (
            Claim("unchanged", goal=AtMost(0.02)),
            Claim("unchanged", "bare scan", AtMost(0.5)),
            Claim("one file", "bare scan", AtMost(0.5)),
            Claim("first", "bare scan"),
        ),
        _open,
    ),
)
