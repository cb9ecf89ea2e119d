"""What each mode of isolation guarantees, what it does not, and what holds which limit: for people to read, as data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from execd.isolation import cgroup
from execd.isolation.plan import Limits, Mode

SCOPED_LANDLOCK = 6
"""The first version of Landlock that keeps signals and abstract sockets within a sandbox."""


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What holds for every sandbox, and what does not."""

    holds: tuple[str, ...]
    not_covered: tuple[str, ...]


REMEDIES = {
    Mode.BWRAP: "For bwrap: install bubblewrap (the Debian package, or pip install 'execd[bwrap]') and allow user "
    "namespaces: in a container with deploy/seccomp-sandbox.json as its seccomp profile (see deploy/README.md), "
    "elsewhere with sysctl kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0.",
    Mode.LANDLOCK: "For landlock: Linux 6.12 or later, with landlock among its security modules (lsm= at boot).",
    Mode.PROCESS: "",
}
"""How to get a mode that is missing."""

_PROCESSES_SEEN = "the machine's (or the container's) processes are seen with their arguments"
_KERNEL = "faults of the kernel itself, and what caches and timing tell"
_WORKSPACE = "the size of a workspace as a whole: it takes from the disk what each of its files may"


def guarantees(
    mode: Mode, *, own_users: bool, landlock_abi: int, controllers: frozenset[str], fresh_proc: bool = True
) -> Guarantees:
    """What a mode amounts to on a machine: whether each sandbox is a user of its own there and may have a /proc of its
    own, and which version of Landlock and which controllers of control groups there are."""
    if mode is Mode.PROCESS:
        return _process()
    found = _bwrap(own_users, fresh_proc) if mode is Mode.BWRAP else _landlock(own_users, landlock_abi)
    if cgroup.MEMORY in controllers and cgroup.PIDS in controllers:
        return found
    without = "memory and processes of a whole sandbox at once: without control groups each process is bounded"
    return Guarantees(found.holds, (*found.not_covered, without))


def _bwrap(own_users: bool, fresh_proc: bool) -> Guarantees:
    users = "every sandbox is another user of the machine" if own_users else None
    shared = "a user of the machine of their own: behind their namespaces, sandboxes are the service's user"
    return Guarantees(
        (
            "files of its own: the workspace, temporary folders of limited size, and read-only what programs need",
            "processes, users, shared memory and host name of its own; the machine's are neither signalled nor traced",
            *(("the machine's processes are not seen",) if fresh_proc else ()),
            "a network of its own: nothing of the machine's, its loopback included, is reached",
            "no capabilities, no new user namespaces, and no system calls beyond what programs need",
            "with its first process ends everything in it",
            *((users,) if users else ()),
        ),
        (_KERNEL, _WORKSPACE, *(() if users else (shared,)), *(() if fresh_proc else (_PROCESSES_SEEN,))),
    )


def _landlock(own_users: bool, abi: int) -> Guarantees:
    scoped = abi >= SCOPED_LANDLOCK
    holds = (
        "other files than the workspace and what programs need are neither read nor written",
        "no network but connected unix sockets: no TCP, no datagrams, no other families",
        "the service's memory and environment are not read, its processes not traced",
        *(("processes outside are not signalled, abstract unix sockets not reached",) if scoped else ()),
        *(("every sandbox is another user of the machine",) if own_users else ()),
        "no capabilities, no new namespaces, and no system calls beyond what programs need",
    )
    gaps = [
        _KERNEL,
        _WORKSPACE,
        _PROCESSES_SEEN,
        "that a file exists is seen, with its size",
        "unix sockets with a path are reached, as far as their permissions let the sandbox's user",
        "no shared memory, and so no locks of multiprocessing; temporary files only in the workspace",
        "a process that has gone its own way may outlive the service's sudden end",
    ]
    if not own_users:
        gaps.append("permissions and times of the service's own files can be changed, as they are the same user's")
        gaps.append("no terminals of its own, and no limit of processes apart from the service's")
    if not scoped:
        gaps.append("abstract unix sockets of the machine are reached")
    return Guarantees(holds, tuple(gaps))


def _process() -> Guarantees:
    return Guarantees(
        ("a process group of its own, and an environment without the service's secrets",),
        ("everything else: code does whatever the service's user may do on this machine",),
    )


def enforcement(
    mode: Mode,
    *,
    version: int | None,
    controllers: frozenset[str],
    own_users: bool = True,
    workspace_memory: int = 0,
) -> dict[str, str]:
    """What holds each limit: a control group (`cgroup v1`, `cgroup v2`), `rlimit` (for each process, but for the number
    of processes), `watchdog` (looked at again and again), `tmpfs` (memory of that size), or `none`. Workspaces of up to
    `workspace_memory` bytes are in memory."""
    if mode is Mode.PROCESS:
        return dict.fromkeys((field.name for field in fields(Limits)), "none")
    group = f"cgroup v{version}"
    # The kernel counts the processes of a user, or of a user namespace; without either it would count the service's.
    counted = "rlimit" if mode is Mode.BWRAP or own_users else "none"
    return {
        "memory": group if cgroup.MEMORY in controllers else "rlimit, watchdog",
        "cpu": group if cgroup.CPU in controllers else "none",
        "processes": group if cgroup.PIDS in controllers else counted,
        "open_files": "rlimit",
        "file_size": "rlimit",
        "tmp_size": "tmpfs" if mode is Mode.BWRAP else "none",
        "workspace_size": _workspace(mode, workspace_memory),
    }


def _workspace(mode: Mode, memory: int) -> str:
    return f"tmpfs up to {memory} bytes, watchdog beyond" if mode is Mode.BWRAP and memory else "watchdog"
