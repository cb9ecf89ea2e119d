"""What is known about a file without opening it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from execd.isolation.shown import shown
from execd.service.ownership import Names, mode_digits

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)

_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file, a folder or a symlink (itself, not what it points to), as the sandbox sees it. `created_at` is the
    inode's change time, for that is what this API has always shown; `mode` is octal digits as a decimal number."""

    path: str
    type: str
    size: int
    modified_at: datetime
    created_at: datetime
    owner: str
    group: str
    mode: int

    @classmethod
    def of(cls, path: PurePath | str, found: os.stat_result, names: Names) -> FileInfo:
        """What an lstat has shown."""
        return cls(
            path=shown(path),
            type=_TYPES.get(stat.S_IFMT(found.st_mode), "other"),
            size=found.st_size,
            modified_at=moment(found.st_mtime_ns),
            created_at=moment(found.st_ctime_ns),
            owner=names.user(found.st_uid),
            group=names.group(found.st_gid),
            mode=mode_digits(found.st_mode),
        )


def moment(nanoseconds: int) -> datetime:
    """Nanoseconds since the epoch as UTC; what lies beyond the years 1 to 9999 is shown as the nearest of them."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return _LAST if nanoseconds > 0 else _FIRST
