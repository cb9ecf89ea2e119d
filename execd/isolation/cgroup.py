"""A control group for each sandbox: what bounds all of its processes together, counts what they use, freezes and kills.

Version 1 and version 2 (https://docs.kernel.org/admin-guide/cgroup-v1/, .../cgroup-v2.html), below the group that we
are in ourselves. Where a controller is not ours to use, what it would bound has to be bounded otherwise; where none is,
there is `Unavailable`. Only the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from execd.isolation.plan import Limits

MEMORY, PIDS, CPU, FREEZER = "memory", "pids", "cpu", "freezer"

_PERIOD = 100_000  # microseconds
_LEAST_QUOTA = 1_000
_OURSELVES = "execd-itself"
"""Version 2 allows no processes in a group whose children have controllers: the service's own go here."""


class Unavailable(Exception):
    """No control group can be made here; the message says why."""


class Group(ABC):
    """One sandbox's control group. What the kernel does not say is None, or 0 for what it would count."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)

    def entries(self) -> list[int]:
        """Descriptors of cgroup.procs: who writes "0" to all of them is in the group. The caller closes them."""
        with contextlib.ExitStack() as opened:
            entries = []
            for folder in self._distinct():
                entry = os.open(folder / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
                entries.append(entry)
                opened.callback(os.close, entry)
            opened.pop_all()
        return entries

    def pids(self) -> set[int]:
        """The processes in the group, without those that have ended."""
        return {int(line) for folder in self._distinct() for line in _text(folder / "cgroup.procs").split()} - {0}

    def remove(self) -> bool:
        """Remove it; whether it is gone. It is not while there are processes in it, some of which may be ending."""
        for folder in self._distinct():
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
        return True

    def memory_needed(self) -> int | None:
        """Bytes in use that cannot simply be dropped, as what files have been read into can."""
        used, statistics = self.memory(), _table(self._file(MEMORY, "memory.stat"))
        droppable = statistics.get("total_inactive_file", statistics.get("inactive_file", 0))
        return None if used is None else max(used - droppable, 0)

    def refused_forks(self) -> int:
        """How often a process or a thread could not be made, since there were as many as there may be."""
        return _table(self._file(PIDS, "pids.events")).get("max", 0)

    @abstractmethod
    def limit(self, limits: Limits) -> None:
        """Bound what it may use, as far as there are controllers for it. Raises OSError."""

    @abstractmethod
    def oom_kills(self) -> int:
        """How many processes were killed since the group had no memory left."""

    @abstractmethod
    def memory(self) -> int | None:
        """Bytes in use."""

    @abstractmethod
    def peak_memory(self) -> int | None:
        """The most bytes that were in use."""

    @abstractmethod
    def cpu_seconds(self) -> float | None:
        """CPU time used."""

    @abstractmethod
    def freeze(self) -> None:
        """Stop every process, which may take a moment: see `frozen`. Nothing where it cannot be done."""

    @abstractmethod
    def thaw(self) -> None:
        """Let them go on."""

    @abstractmethod
    def frozen(self) -> bool:
        """Whether every process stands still."""

    @abstractmethod
    def kill(self) -> None:
        """Kill every process, also when frozen. Call again while there are `pids`."""

    def _file(self, controller: str, name: str) -> Path:
        return self._folders.get(controller, Path("/nonexistent")) / name

    def _distinct(self) -> list[Path]:
        # Several controllers may share one hierarchy.
        return list({os.path.realpath(folder): folder for folder in self._folders.values()}.values())


class Groups(ABC):
    """Where groups are made. `version` is 1 or 2; `controllers` are those that can be used: MEMORY, PIDS, CPU,
    FREEZER."""

    version: int
    controllers: frozenset[str]

    @abstractmethod
    def create(self, name: str, limits: Limits) -> Group:
        """Make a group, or take the one of that name. Raises OSError."""

    @abstractmethod
    def existing(self, prefix: str) -> dict[str, Group]:
        """The groups there are whose names begin so."""


def groups(
    mount: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup"), *, enable: bool = True
) -> Groups:
    """What there is on this machine; without `enable`, what there would be, and nothing is changed for it. Raises
    Unavailable."""
    paths = _paths(membership)
    if (mount / "cgroup.controllers").exists():
        return UnifiedGroups(_existing(mount, paths.get("", "")), enable=enable)
    return SeparateGroups(mount, paths)


class SeparateGroups(Groups):
    """Version 1: a hierarchy for each controller."""

    version = 1

    def __init__(self, mount: Path, paths: Mapping[str, str]) -> None:
        """Raises Unavailable where no folder of the four controllers can be written."""
        candidates = {
            name: _existing(mount / name, paths.get(name, "")) for name in (MEMORY, PIDS, CPU, "cpuacct", FREEZER)
        }
        self._parents = {name: folder for name, folder in candidates.items() if _can_make_folders(folder)}
        self.controllers = frozenset(self._parents) & {MEMORY, PIDS, CPU, FREEZER}
        if not self.controllers:
            raise Unavailable(f"no control group below {mount} may be written")

    def create(self, name: str, limits: Limits) -> Group:
        """Make a group, or take the one of that name. Raises OSError."""
        group = _SeparateGroup({controller: parent / name for controller, parent in self._parents.items()})
        group.make(limits)
        return group

    def existing(self, prefix: str) -> dict[str, Group]:
        """The groups there are whose names begin so."""
        names = {folder.name for parent in self._parents.values() for folder in parent.glob(f"{prefix}*/")}
        return {name: _SeparateGroup({each: parent / name for each, parent in self._parents.items()}) for name in names}


class _SeparateGroup(Group):
    def make(self, limits: Limits) -> None:
        for folder in self._folders.values():
            folder.mkdir(exist_ok=True)
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        if limits.memory is not None and MEMORY in self._folders:
            self._limit_memory(limits.memory)
        if limits.processes is not None and PIDS in self._folders:
            _write(self._file(PIDS, "pids.max"), limits.processes)
        if limits.cpu is not None and CPU in self._folders:
            _write(self._file(CPU, "cpu.cfs_period_us"), _PERIOD)
            _write(self._file(CPU, "cpu.cfs_quota_us"), _quota(limits.cpu))

    def _limit_memory(self, size: int) -> None:
        # The one with swap may never be the lower one.
        alone, with_swap = (
            self._file(MEMORY, "memory.limit_in_bytes"),
            self._file(MEMORY, "memory.memsw.limit_in_bytes"),
        )
        grows = size > (_number(alone) or 0)
        for file in (with_swap, alone) if grows else (alone, with_swap):
            if file is alone or file.exists():
                _write(file, size)

    def oom_kills(self) -> int:
        return _table(self._file(MEMORY, "memory.oom_control")).get("oom_kill", 0)

    def memory(self) -> int | None:
        return _number(self._file(MEMORY, "memory.usage_in_bytes"))

    def peak_memory(self) -> int | None:
        return _number(self._file(MEMORY, "memory.max_usage_in_bytes"))

    def cpu_seconds(self) -> float | None:
        nanoseconds = _number(self._file("cpuacct", "cpuacct.usage"))
        return None if nanoseconds is None else nanoseconds / 1e9

    def freeze(self) -> None:
        if FREEZER in self._folders:
            _write(self._file(FREEZER, "freezer.state"), "FROZEN")

    def thaw(self) -> None:
        if FREEZER in self._folders:
            _write(self._file(FREEZER, "freezer.state"), "THAWED")

    def frozen(self) -> bool:
        return _text(self._file(FREEZER, "freezer.state")) == "FROZEN"

    def kill(self) -> None:
        # What stands still makes no new processes meanwhile.
        self.freeze()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.thaw()


class UnifiedGroups(Groups):
    """Version 2: one hierarchy, of which a part has been delegated to us."""

    version = 2

    def __init__(self, own: Path, *, enable: bool = True) -> None:
        """`own` is the folder of the group that we are in. Raises Unavailable where it may not be written."""
        self._parent = own.parent if own.name == _OURSELVES else own
        if not _can_make_folders(self._parent):
            raise Unavailable(f"the control group {self._parent} may not be written; systemd's Delegate=yes gives one")
        wanted = {MEMORY, PIDS, CPU} & set(_text(self._parent / "cgroup.controllers").split())
        missing = wanted - self._enabled()
        if missing and not enable:
            self.controllers = frozenset({*wanted, FREEZER})
            return
        if missing:
            self._move_ourselves()
            with contextlib.suppress(OSError):
                _write(self._parent / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(missing)))
        self.controllers = frozenset({*(wanted & self._enabled()), FREEZER})

    def create(self, name: str, limits: Limits) -> Group:
        """Make a group, or take the one of that name. Raises OSError."""
        group = self._group(name)
        (self._parent / name).mkdir(exist_ok=True)
        group.limit(limits)
        return group

    def existing(self, prefix: str) -> dict[str, Group]:
        """The groups there are whose names begin so."""
        return {folder.name: self._group(folder.name) for folder in self._parent.glob(f"{prefix}*/")}

    def _group(self, name: str) -> Group:
        return _UnifiedGroup(dict.fromkeys(sorted(self.controllers), self._parent / name))

    def _enabled(self) -> set[str]:
        return set(_text(self._parent / "cgroup.subtree_control").split())

    def _move_ourselves(self) -> None:
        ourselves = self._parent / _OURSELVES
        with contextlib.suppress(OSError):
            ourselves.mkdir(exist_ok=True)
            for pid in _text(self._parent / "cgroup.procs").split():
                with contextlib.suppress(ProcessLookupError):
                    _write(ourselves / "cgroup.procs", pid)


class _UnifiedGroup(Group):
    def limit(self, limits: Limits) -> None:
        if limits.memory is not None and MEMORY in self._folders:
            _write(self._file(MEMORY, "memory.max"), limits.memory)
            with contextlib.suppress(FileNotFoundError):
                _write(self._file(MEMORY, "memory.swap.max"), 0)
        if limits.processes is not None and PIDS in self._folders:
            _write(self._file(PIDS, "pids.max"), limits.processes)
        if limits.cpu is not None and CPU in self._folders:
            _write(self._file(CPU, "cpu.max"), f"{_quota(limits.cpu)} {_PERIOD}")

    def oom_kills(self) -> int:
        return _table(self._file(MEMORY, "memory.events")).get("oom_kill", 0)

    def memory(self) -> int | None:
        return _number(self._file(MEMORY, "memory.current"))

    def peak_memory(self) -> int | None:
        return _number(self._file(MEMORY, "memory.peak"))

    def cpu_seconds(self) -> float | None:
        microseconds = _table(self._file(FREEZER, "cpu.stat")).get("usage_usec")
        return None if microseconds is None else microseconds / 1e6

    def freeze(self) -> None:
        _write(self._file(FREEZER, "cgroup.freeze"), 1)

    def thaw(self) -> None:
        _write(self._file(FREEZER, "cgroup.freeze"), 0)

    def frozen(self) -> bool:
        return _table(self._file(FREEZER, "cgroup.events")).get("frozen", 0) == 1

    def kill(self) -> None:
        _write(self._file(FREEZER, "cgroup.kill"), 1)


def _paths(membership: Path) -> dict[str, str]:
    # Lines of "number:controller,controller:/path"; version 2 has no controllers in its line (cgroups(7)).
    lines = (line.split(":", 2) for line in _text(membership).splitlines())
    return {name: path.lstrip("/") for _, names, path in lines for name in names.split(",")}


def _existing(mount: Path, path: str) -> Path:
    # In a container the path may be that of the machine outside; the mount is then the group itself.
    folder = mount / path
    return folder if folder.is_dir() else mount


def _can_make_folders(folder: Path) -> bool:
    # A file system may be read-only whatever the modes say.
    probe = folder / f"execd-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _quota(cores: float) -> int:
    return max(round(cores * _PERIOD), _LEAST_QUOTA)


def _write(path: Path, value: int | str) -> None:
    # Not made where it is missing: in a control group there are only the kernel's files.
    with open(path, "r+", encoding="ascii") as file:
        file.write(str(value))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _table(path: Path) -> dict[str, int]:
    rows = (line.partition(" ") for line in _text(path).splitlines())
    return {name: int(value) for name, _, value in rows if value.isdigit()}
