"""What the service and everything below it take of the machine, read from /proc and its folders at a quiet point."""

from __future__ import annotations

import os
import re
import sqlite3
import statistics
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import anonymous, below, descriptors, pss, threads, warden_in
from tests.running_service import RunningService

_KINDS = {
    "socket": "sockets",
    "pipe": "pipes",
    "anon_inode:[eventpoll]": "eventpolls",
    "anon_inode:[pidfd]": "pidfds",
    "anon_inode:inotify": "inotifies",
}
_NUMBER = re.compile(r":\[\d+\]$")
_STORE, _OTHER = "store files", "other descriptors"
_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@dataclass(frozen=True)
class ServiceState:
    """One service, and its warden as it is now."""

    service: RunningService
    warden: int

    @classmethod
    def of(cls, service: RunningService) -> ServiceState:
        """Finds the warden. Raises RowFailed when there is none."""
        return cls(service, warden_in(service.data_dir))

    def counts(self) -> dict[str, float]:
        """What can be counted. What ends meanwhile is not counted."""
        processes = self.processes()
        kinds = descriptor_kinds(self.service.process.pid)
        return {
            "service descriptors": sum(kinds.values()),
            **{f"service {kind}": kinds[kind] for kind in (*_KINDS.values(), _STORE, _OTHER)},
            "service threads": threads(self.service.process.pid),
            "warden descriptors": descriptors(self.warden),
            "warden threads": threads(self.warden),
            "processes": len(processes),
            "zombies": sum(_state(pid) == "Z" for pid in processes),
            "namespaces": len({inode for pid in processes for inode in _namespaces(pid)}),
            "mounts": len(self.mounts()),
            "control groups": len(self.control_groups()),
            "sandbox folders": len(_entries(self.service.data_dir / "sandboxes")),
            "runtime files": sum(1 for _ in self.runtime().rglob("*")),
        }

    def memory(self) -> dict[str, float]:
        """Bytes of memory that belong to no file, and what the store takes, which is only shown."""
        zygote, kernels = self._forks()
        return {
            "service memory": anonymous(self.service.process.pid),
            "service pss": pss(self.service.process.pid),
            "warden memory": anonymous(self.warden),
            **({"zygote memory": zygote[0]} if zygote else {}),
            **({"kernel memory": statistics.median(kernels)} if kernels else {}),
            **self._store(),
        }

    def runs(self) -> int:
        """How many runs of code and commands have ended so far."""
        with self.service.client(timeout=30) as client:
            told = client.get("/metrics/prometheus").raise_for_status().text
        ended = (line for line in told.splitlines() if line.startswith("execd_executions_total{"))
        return int(sum(float(line.rpartition(" ")[2]) for line in ended))

    def processes(self) -> list[int]:
        """Everything below the warden, also what has ended and was not reaped."""
        return below(self.warden)

    def runtime(self) -> Path:
        """The folder of its sockets."""
        return (self.service.data_dir / "runtime").resolve()

    def mounts(self) -> list[str]:
        """Mount points below its folders, as the warden and the machine see them."""
        folders = (str(self.service.data_dir), str(self.runtime()))
        lines = [line for pid in ("self", self.warden) for line in _lines(Path(f"/proc/{pid}/mountinfo"))]
        points = {line.split()[4] for line in lines}
        return [point for point in points if point.startswith(folders)]

    def control_groups(self) -> list[Path]:
        """Those that the warden has made, which have its folder in their names."""
        prefix = f"execd-{zlib.crc32(str(self.service.data_dir / 'warden').encode()):08x}-"
        return [
            Path(folder) / name
            for folder, names, _ in os.walk("/sys/fs/cgroup")
            for name in names
            if name.startswith(prefix)
        ]

    def _forks(self) -> tuple[list[float], list[float]]:
        """The memory of the zygote, which is the oldest, and that of its forks: kernels have its command line."""
        found: list[float] = []
        for pid in sorted(filter(_is_fork, self.processes()), key=_started):
            with suppress(OSError):
                found.append(anonymous(pid))
        return found[:1], found[1:]

    def _store(self) -> dict[str, float]:
        data = self.service.data_dir
        with closing(sqlite3.connect(f"file:{data}/execd.db?mode=ro", uri=True)) as database:
            [(executions,)] = database.execute("select count(*) from executions")
        return {
            "database bytes": sum(path.stat().st_size for path in data.glob("execd.db*")),
            "executions kept": executions,
            "artifact bytes": sum(path.stat().st_size for path in (data / "artifacts").rglob("*") if path.is_file()),
        }


def open_descriptors(pid: int) -> Counter[str]:
    """What a process has open, and how often: paths, and kinds without the numbers of their inodes."""
    found: Counter[str] = Counter()
    for entry in _entries(Path(f"/proc/{pid}/fd")):
        with suppress(OSError):
            found[_NUMBER.sub("", str(entry.readlink()))] += 1
    return found


def descriptor_kinds(pid: int) -> Counter[str]:
    """How many descriptors of each kind a process has open, in the words of the bounds."""
    found: Counter[str] = Counter()
    for target, count in open_descriptors(pid).items():
        found[_kind(target)] += count
    return found


def _kind(target: str) -> str:
    if "/execd.db" in target:
        return _STORE
    return _KINDS.get(target, _OTHER)


def _namespaces(pid: int) -> Iterator[str]:
    for name in _NAMESPACES:
        with suppress(OSError):
            yield str(Path(f"/proc/{pid}/ns/{name}").readlink())


def _entries(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _lines(file: Path) -> list[str]:
    with suppress(OSError):
        return file.read_text().splitlines()
    return []


def _stat(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return ["X", *["0"] * 30]


def _state(pid: int) -> str:
    return _stat(pid)[0]


def _started(pid: int) -> int:
    return int(_stat(pid)[19])


def _is_fork(pid: int) -> bool:
    with suppress(OSError):
        return "zygote.py" in Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return False
