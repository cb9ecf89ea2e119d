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

CREATED, DELETED = 1, 3

Changes = AbstractSet[tuple[int, str]]


class Arrivals:
    """Completes the changes of one recursive watch, turn by turn."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def complete(self, changes: Changes) -> set[tuple[int, str]]:
        """These changes, and the creation of what they left out; not again of what was told in the turn before."""
        deleted = {path for number, path in changes if number == DELETED}
        again = self._told - deleted
        kept = {(number, path) for number, path in changes if number != CREATED or path not in again}
        created = {path for number, path in kept if number == CREATED}
        found = set(_inside(created | again)) - again
        self._told = created | found
        return kept | {(CREATED, path) for path in found}


def _inside(paths: Iterable[str]) -> Iterator[str]:
    entered: set[str] = set()
    for path in sorted(paths):
        if path not in entered and Path(path).is_dir() and not Path(path).is_symlink():
            for folder, folders, files in os.walk(path):
                entered.add(folder)
                yield from (f"{folder}/{name}" for name in (*folders, *files))
