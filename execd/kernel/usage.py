"""What a process and all below it use."""

from __future__ import annotations

from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time so far in seconds, ended children included, and memory in bytes. Pages that processes share are
    counted in proportion (PSS), where the machine shows that."""

    cpu_seconds: float
    memory_bytes: int

    @classmethod
    def of(cls, pid: int | None) -> Usage | None:
        """What a process and all below it use now, None when there is none. Walks /proc, which takes a while on a
        busy machine: not for the event loop."""
        if pid is None:
            return None
        try:
            leader = psutil.Process(pid)
            tree = [leader, *leader.children(recursive=True)]
        except psutil.Error:
            return None
        shares = [share for process in tree if (share := _share(process)) is not None]
        if not shares:
            return None
        return cls(round(sum(share.cpu_seconds for share in shares), 3), sum(share.memory_bytes for share in shares))


def _share(process: psutil.Process) -> Usage | None:
    try:
        times = process.cpu_times()
        seconds = times.user + times.system + times.children_user + times.children_system
        return Usage(seconds, _memory(process))
    except psutil.Error:
        return None


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
