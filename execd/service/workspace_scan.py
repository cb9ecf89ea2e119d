"""What has changed in a workspace since a moment, found by looking at every file: for when a watch cannot know.

A file has changed when its ctime is not before the moment. The kernel sets it with every change, and nobody can set it
back; so a file that was overwritten, or moved there with an old time of modification, is found like any other, and one
that was only given another mode as well. From Linux 6.13 on moments are exact; before, the clock that files are dated
by moves in ticks of up to 10 ms, and what changed earlier within the same tick is found, too. What a clock that is set
back meanwhile hides is not found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import PurePath

from execd.isolation.entry import reopen_folder
from execd.isolation.root import Root
from execd.isolation.trees import Tree, joined
from execd.service.left_out import VENV_MARK, file_left_out, folder_left_out


class ScanTooLong(Exception):
    """The time for looking was over before everything had been looked at."""


def moment() -> int:
    """Now, in nanoseconds, by the clock that the kernel dates files by: after every change so far, before all later
    ones."""
    probe = os.memfd_create("execd-moment")
    try:
        # A file whose date nobody has looked at is dated by the last tick of the clock, the next change exactly, and no
        # change of any file is dated before that from then on.
        os.utime(probe)
        os.fstat(probe)
        os.utime(probe)
        return os.fstat(probe).st_ctime_ns
    finally:
        os.close(probe)


def changed_since(root: Root, workspace: PurePath, since: int, seconds: float) -> list[str]:
    """The files, relative to the workspace, that have changed since `moment()` was `since`. Blocks; works as the
    sandbox's user. Raises ScanTooLong after so many seconds, OSError and NotADirectory where there is no workspace."""
    ends = time.monotonic() + seconds
    with root.acting():
        with root.target(workspace) as found:
            tree = Tree(reopen_folder(found, workspace))
        try:
            return sorted(_changed(tree, since, ends))
        finally:
            tree.close()


def _changed(tree: Tree, since: int, ends: float) -> Iterator[str]:
    waiting = [""]
    while waiting:
        if time.monotonic() > ends:
            raise ScanTooLong
        above = waiting.pop()
        try:
            with os.scandir(tree.folder(above)) as found:
                entries = list(found)
        except OSError:
            if not above:
                raise
            continue
        if above and any(entry.name == VENV_MARK for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not folder_left_out(entry.name):
                    waiting.append(joined(above, entry.name))
            elif not file_left_out(entry.name) and _ctime(entry) >= since:
                yield joined(above, entry.name)


def _ctime(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_ctime_ns
    except OSError:
        return -1
