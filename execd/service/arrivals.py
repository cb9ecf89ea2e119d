"""What comes into a watched tree together with a folder.

inotify watches one folder at a time: a new one has to be added, and what was put into it before that is told by nobody
(inotify(7), "Limitations and caveats"). So new folders are looked into: when they are told of, and once more a turn
later, by when they have surely been added.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path

CREATED, MODIFIED, DELETED = 1, 2, 3

Changes = AbstractSet[tuple[int, str]]


class Arrivals:
    """Completes the changes of one recursive watch, turn by turn."""

    def __init__(self) -> None:
        self._created: set[str] = set()
        self._found: set[str] = set()

    def complete(self, changes: Changes) -> set[tuple[int, str]]:
        """These changes, and the creation of what they left out. What was found in the turn before, and is created
        only now by what inotify says, is modified: it may have been replaced since."""
        deleted = {path for number, path in changes if number == DELETED}
        known = self._found - deleted
        heard = {(MODIFIED if number == CREATED and path in known else number, path) for number, path in changes}
        created = {path for number, path in heard if number == CREATED}
        young = self._created - deleted
        self._found = set(_inside(created | young)) - created - young
        self._created = created | self._found
        return heard | {(CREATED, path) for path in self._found}


def _inside(paths: Iterable[str]) -> Iterator[str]:
    entered: set[str] = set()
    for path in sorted(paths):
        if path not in entered and Path(path).is_dir() and not Path(path).is_symlink():
            for folder, folders, files in os.walk(path):
                entered.add(folder)
                yield from (f"{folder}/{name}" for name in (*folders, *files))
