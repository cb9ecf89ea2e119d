"""Everything that was started for one process, found by a mark in its environment.

A child that left its process group and its session, or was adopted by init, still has the environment that it was
started with. One that was given another environment is found while its parent lives; only an orphan that dropped the
mark is not.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import psutil

MARKER = "EXECD_PROCESS"

_PROC = Path("/proc")
_PAUSE = 0.001
_FEW_LOOKS = 5
_MANY_LOOKS = 1000


def kill_marked(beginning: str) -> None:
    """Kill every process whose mark begins like this, and the descendants that have dropped it. Searches again until
    it finds none that is new, for a process may fork while it is being killed."""
    wanted = f"{MARKER}={beginning}".encode()
    killed: set[psutil.Process] = set()
    while found := _families(_bearers(_all_pids(), wanted), wanted) - killed:
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        killed |= found


def _families(pids: set[int], wanted: bytes) -> set[psutil.Process]:
    found: set[psutil.Process] = set()
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            # psutil compares the times of their starts, so that none is killed for having a number that was another's.
            process = psutil.Process(pid)
            if _bearers({pid}, wanted):
                found.add(process)
    return found | _descendants(found) if found else found


def _descendants(parents: set[psutil.Process]) -> set[psutil.Process]:
    # One look at all processes, where psutil takes one for each parent.
    below = _by_parent()
    found: set[psutil.Process] = set()
    unseen = list(parents)
    while unseen:
        with contextlib.suppress(psutil.Error):
            parent = unseen.pop()
            began = parent.create_time()
            new = [child for child in below.get(parent.pid, ()) if child.create_time() >= began and child not in found]
            found.update(new)
            unseen += new
    return found


def _by_parent() -> dict[int, list[psutil.Process]]:
    found: dict[int, list[psutil.Process]] = {}
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            found.setdefault(process.ppid(), []).append(process)
    return found


def _all_pids() -> set[int]:
    return {int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()}


def _bearers(pids: set[int], wanted: bytes) -> set[int]:
    # While a process executes a new program, the environment that it has is nowhere to be read for a moment.
    found: set[int] = set()
    undecided = pids
    for look in range(_MANY_LOOKS):
        environments = {pid: _read(pid, "environ") for pid in undecided}
        found |= {pid for pid, environment in environments.items() if _carries(environment, wanted)}
        empty = [pid for pid, environment in environments.items() if environment == b"" and _has_program(pid)]
        undecided = {pid for pid in empty if look < _FEW_LOOKS or _read(pid, "cmdline") == b""}
        if not undecided:
            break
        time.sleep(_PAUSE)
    return found


def _carries(environment: bytes | None, wanted: bytes) -> bool:
    return environment is not None and (environment.startswith(wanted) or b"\0" + wanted in environment)


def _has_program(pid: int) -> bool:
    """Whether it is neither a zombie nor a thread of the kernel."""
    try:
        return bool(os.readlink(_PROC / str(pid) / "exe"))  # noqa: PTH115  # the target need not exist
    except OSError:
        return False


def _read(pid: int, what: str) -> bytes | None:
    try:
        return (_PROC / str(pid) / what).read_bytes()
    except OSError:
        return None
