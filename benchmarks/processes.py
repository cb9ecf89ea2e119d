"""What processes use, read from /proc: CPU time, and memory with shared pages counted once (PSS)."""

from __future__ import annotations

from pathlib import Path

import psutil


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's living threads, to the nanosecond (schedstat, proc(5))."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def pss(pid: int) -> float:
    """Proportional set size in bytes."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024


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


def _kib(path: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(field))
