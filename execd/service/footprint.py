"""What processes and folders take, looked at from outside."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512
_MOST_ENTRIES = 1_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Footprint:
    """A process, and the memory that counts as its."""

    process: psutil.Process
    bytes: int


def footprints(pids: Sequence[int], limit: int) -> list[Footprint]:
    """What each process takes. What they share with others is counted for each of them, and with the care that it
    takes (PSS) only where they would be over the limit otherwise. Blocks."""
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    rough = [Footprint(each, _resident(each.pid)) for each in processes]
    if sum(each.bytes for each in rough) <= limit:
        return rough
    return [Footprint(each.process, _proportional(each.process.pid, each.bytes)) for each in rough]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int, otherwise: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return otherwise
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), otherwise)


def size_of_tree(folder: Path, limit: int) -> int:
    """The bytes on the disk of what is in a folder; as soon as they are more than `limit`, those found so far. What
    cannot be looked at, and more than can be, counts as more than the limit. Symlinks are not followed. Blocks. Raises
    OSError."""
    root = os.open(folder, _FOLDER)
    try:
        return _size(root, limit)
    except (PermissionError, RecursionError):
        return limit + 1
    finally:
        os.close(root)


def _size(root: int, limit: int) -> int:
    total, entries, seen = 0, 0, set[tuple[int, int]]()
    for _, _, files, fd in os.fwalk(".", dir_fd=root, follow_symlinks=False, onerror=_complain):
        entries += 1 + len(files)
        for name in files:
            with suppress(FileNotFoundError):
                found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if (found.st_dev, found.st_ino) not in seen:
                    total += found.st_blocks * _BLOCK
                if found.st_nlink > 1:
                    seen.add((found.st_dev, found.st_ino))
        if total > limit:
            return total
        if entries > _MOST_ENTRIES:
            return limit + 1
    return total


def _complain(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
