"""Files as they are told of: their paths and their kinds, for a person."""

from __future__ import annotations

import os
import stat

_KINDS = {
    stat.S_IFREG: "regular file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "FIFO",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


def shown(path: str | os.PathLike[str]) -> str:
    """The path as text that can leave in JSON: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def kind_of(mode: int) -> str:
    """What a `st_mode` is, for a person."""
    return _KINDS.get(stat.S_IFMT(mode), "special file")
