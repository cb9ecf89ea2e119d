"""Entering a sandbox from a fresh fork: what a process does to itself before it is anybody else's.

Only the standard library, and nothing of execd: a kernel's own Python (3.11 and later) loads this file by its path.

Two forks lead in. The first one, the shim, calls `join`, forks again and exits; the second one calls `settle` and is
then what runs inside. Both must have one thread and no descriptors that the sandbox may not have. The order of the
steps matters: a process is never where others could look into it while it still has a right that they have not. Nothing
is imported on the way: from inside, or as another user, a Python may not find its own library.
"""

import base64
import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

BWRAP, LANDLOCK, PROCESS = "bwrap", "landlock", "process"

# linux/prctl.h, linux/sched.h, linux/capability.h; the numbers are the same on every architecture, and so is the number
# of landlock_restrict_self.
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_SYS_LANDLOCK_RESTRICT_SELF = 446
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64
_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000
"""user, mount, pid, net, ipc, uts, cgroup: all that bubblewrap has made for the sandbox."""

_OOM_SCORE = 500

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Entrance:
    """What it takes to enter one sandbox; JSON-able, so that it may be sent to who enters.

    `mode` is one of BWRAP, LANDLOCK and PROCESS. `uid`, `gid` and `groups` are whom to become on the machine, None
    whoever one is; `inside` is the user and group in the sandbox's user namespace. The numbers are limits for each
    process, None where something else holds them. `filter` is a seccomp program in base 64. `supervisor` is the
    process that one dies with where no pid namespace sees to that.
    """

    mode: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    inside: int = 1000
    open_files: int | None = None
    file_size: int | None = None
    processes: int | None = None
    data: int | None = None
    filter: str | None = None
    supervisor: int | None = None

    def to_json(self) -> str:
        """As text, for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Entrance":
        """What `to_json` has made. Raises ValueError for anything else."""
        try:
            found = json.loads(text)
            known = {field.name for field in fields(cls)}
            if not known.issuperset(found):
                raise ValueError(f"not a part of an entrance: {', '.join(sorted(set(found) - known))}")
            return cls(**{**found, "groups": tuple(found.get("groups", ()))})
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not an entrance: {error}") from error


def join(how: Entrance, holder: int | None = None, cgroups: Sequence[int] = ()) -> None:
    """Take the shim to where the next fork of it is in the sandbox. Raises OSError, which names the step.

    `holder` is a pidfd of the sandbox's first process, in BWRAP mode; `cgroups` are descriptors of cgroup.procs files
    that are open for writing.
    """
    for group in cgroups:
        with _step("cgroup"):
            os.write(group, b"0")
    _offer_to_oom_killer()
    if how.mode == BWRAP:
        if holder is None:
            raise OSError(errno.EBADF, "setns: there is no process to join")
        # Not root of the machine for a moment in there, and not to be traced or read by those who are in there
        # already: they have the same user.
        _become(how)
        _prctl("dumpable", _PR_SET_DUMPABLE, 0)
        _call("setns", _libc.setns(holder, _NAMESPACES))
        _prctl("dumpable", _PR_SET_DUMPABLE, 0)


def settle(how: Entrance, shim: int | None = None, ruleset: int | None = None) -> None:
    """Give up everything that the sandbox may not have; the process is an inhabitant then. Raises OSError.

    `shim` is the pid of the shim that this one was forked by, as the shim itself knew it; it is waited for, so it
    must exit without waiting. `ruleset` is a Landlock ruleset, in LANDLOCK mode.
    """
    _limit(how)
    if how.mode == PROCESS:
        _become(how)
    else:
        _restrict(how, ruleset)
    if how.mode != BWRAP and how.supervisor is not None:
        _die_with(how.supervisor, shim)


def _restrict(how: Entrance, ruleset: int | None) -> None:
    if how.filter is None or (how.mode == LANDLOCK and ruleset is None):
        raise OSError(errno.EINVAL, "settle: walls without a seccomp filter, or without Landlock rules, are none")
    _drop_bounding_set()
    if how.mode == BWRAP:
        with _step("setresuid"):
            os.setresgid(how.inside, how.inside, how.inside)
            os.setresuid(how.inside, how.inside, how.inside)
    else:
        _become(how)
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()
    if how.mode == LANDLOCK:
        _call("landlock", _libc.syscall(ctypes.c_long(_SYS_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset or 0), 0))
    _load(base64.b64decode(how.filter))
    # Last: from here on others in the sandbox may trace it, and must find nothing that they have not themselves.
    _prctl("dumpable", _PR_SET_DUMPABLE, 1)


def _become(how: Entrance) -> None:
    if how.mode != PROCESS and (os.geteuid() if how.uid is None else how.uid) == 0:
        raise OSError(errno.EPERM, "setresuid: root of the machine may not be in a sandbox")
    if how.uid is None or (how.uid == os.getuid() == os.geteuid() and how.gid in (None, os.getgid())):
        return
    gid = how.uid if how.gid is None else how.gid
    with _step("setgroups"):
        os.setgroups(how.groups)
    with _step("setresgid"):
        os.setresgid(gid, gid, gid)
    with _step("setresuid"):
        os.setresuid(how.uid, how.uid, how.uid)


def _limit(how: Entrance) -> None:
    wanted = {
        resource.RLIMIT_NOFILE: how.open_files,
        resource.RLIMIT_FSIZE: how.file_size,
        resource.RLIMIT_NPROC: how.processes,
        resource.RLIMIT_DATA: how.data,
        resource.RLIMIT_CORE: None if how.mode == PROCESS else 0,
    }
    with _step("setrlimit"):
        for limit, value in wanted.items():
            if value is not None:
                hard = resource.getrlimit(limit)[1]
                least = value if hard == resource.RLIM_INFINITY else min(value, hard)
                # Without walls no limit could hold: it is what a login would have set.
                resource.setrlimit(limit, (least, hard if how.mode == PROCESS else least))


def _offer_to_oom_killer() -> None:
    # When the machine runs out of memory, not the service. A process that is not dumpable may not say so itself.
    with contextlib.suppress(OSError):
        score = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(score, b"%d" % _OOM_SCORE)
        finally:
            os.close(score)


def _drop_bounding_set() -> None:
    for capability in range(_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
            # EINVAL: one past the last. EPERM: an ordinary user, who with no_new_privs gets none of them either.
            number = ctypes.get_errno()
            if number in (errno.EINVAL, errno.EPERM):
                return
            raise OSError(number, f"capbset: {os.strerror(number)}")


def _drop_capabilities() -> None:
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _call("capset", _libc.capset(header, bytes(24)))


def _load(program: bytes) -> None:
    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))

    loaded = ctypes.byref(Program(len(program) // 8, program))
    _call("seccomp", _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, loaded, 0, 0))


def _die_with(supervisor: int, shim: int | None) -> None:
    # The signal comes when the parent ends, and the parent is the shim until that has ended. Its pidfd tells the end
    # after its children have got their new parent.
    if shim is not None and os.getppid() == shim:
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(shim)
            if os.getppid() == shim:
                poll = select.poll()
                poll.register(ended, select.POLLIN)
                poll.poll()
            os.close(ended)
    _prctl("pdeathsig", _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        raise OSError(errno.ESRCH, "pdeathsig: the supervisor has ended")


def _prctl(step: str, option: int, value: int) -> None:
    _call(step, _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _call(step: str, result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{step}: {os.strerror(number)}")


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise OSError(errno.EPERM, f"{name}: {error}") from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, f"{name}: {error.strerror}") from error
