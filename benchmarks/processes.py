"""What processes use, read from /proc: CPU time, and memory with shared pages counted once (PSS)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from benchmarks.errors import RowFailed


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's living threads, to the nanosecond (schedstat, proc(5))."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def cpu_shares(groups: Mapping[str, Sequence[int]], seconds: float) -> dict[str, float]:
    """What each group of processes takes of one processor in so many seconds, which pass meanwhile."""
    before = {name: sum(map(cpu_seconds, pids)) for name, pids in groups.items()}
    started = time.perf_counter()
    time.sleep(seconds)
    passed = time.perf_counter() - started
    return {name: (sum(map(cpu_seconds, pids)) - before[name]) / passed for name, pids in groups.items()}


def pss(pid: int) -> float:
    """Proportional set size in bytes."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024


def anonymous(pid: int) -> float:
    """That part of it, in bytes, which belongs to no file."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss_Anon:") * 1024


def rss(pid: int) -> float:
    """Resident set size in bytes."""
    return _kib(Path(f"/proc/{pid}/status"), "VmRSS:") * 1024


def forget_peak(pid: int) -> None:
    """Let `peak_rss` count from now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_rss(pid: int) -> float:
    """The largest resident set size in bytes since `forget_peak`."""
    return _kib(Path(f"/proc/{pid}/status"), "VmHWM:") * 1024


def below(pid: int) -> list[int]:
    """Every process below this one."""
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def warden_in(folder: Path) -> int:
    """The warden of the service whose data are in this folder. It is nobody's child: it outlives the service."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(part.endswith("warden/__main__.py") for part in command) and _is_in(command[-2], folder):
            return int(process.pid)
    raise RowFailed(f"the service in {folder} has no warden")


def threads(pid: int) -> int:
    """How many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _is_in(path: str, folder: Path) -> bool:
    return Path(path).resolve().is_relative_to(folder.resolve())


def _kib(path: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field))
