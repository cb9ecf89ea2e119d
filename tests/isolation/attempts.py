"""What hostile code would try from inside a sandbox. Each returns when it has succeeded, and raises OSError if not."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts import seccomp

_CLONE_NEWUSER = 0x10000000
_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_TIOCSTI = 0x5412
_TIMEOUT = 2

_libc = ctypes.CDLL(None, use_errno=True)
_COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)

SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class Outside:
    """What there is outside of the sandbox, in the service's hands unless said otherwise."""

    service: int
    file: str
    socket: str
    private_socket: str
    abstract: str
    port: int
    secret_at: int
    secret_size: int
    other: int
    """A process of another sandbox."""
    other_file: str
    shm: str


def outcomes(outside: Outside, workspace: str) -> dict[str, str]:
    """What came of every attempt: SUCCEEDED, or the error."""
    return {name: _outcome(attempt) for name, attempt in _attempts(outside, workspace).items()}


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)
    except AssertionError:
        return "nothing there"
    return SUCCEEDED


def _attempts(outside: Outside, workspace: str) -> dict[str, Callable[[], object]]:
    return {
        "read a file that everybody may read": lambda: _read(outside.file),
        "read /etc/shadow": lambda: _read("/etc/shadow"),
        "read another sandbox's file": lambda: _read(outside.other_file),
        "write beside another sandbox's file": lambda: _write(f"{os.path.dirname(outside.other_file)}/new"),
        "read the service's environment": lambda: _read(f"/proc/{outside.service}/environ"),
        "open the service's memory": lambda: _read(f"/proc/{outside.service}/mem"),
        "open the service's root": lambda: os.listdir(f"/proc/{outside.service}/root/"),
        "read the service's memory": lambda: _read_memory(outside),
        "trace another sandbox": lambda: _trace(outside.other),
        "see the service": lambda: _see(outside.service),
        "signal the service": lambda: os.kill(outside.service, 0),
        "signal another sandbox": lambda: os.kill(outside.other, 0),
        "signal everybody": lambda: os.kill(-1, 0),
        "limit the service": lambda: _system_call("prlimit64", outside.service, 7, 0, 0),
        "slow the service down": lambda: os.setpriority(os.PRIO_PROCESS, outside.service, 19),
        "have the service killed first": lambda: os.close(
            os.open(f"/proc/{outside.service}/oom_score_adj", os.O_WRONLY)
        ),
        "connect to the service's port": lambda: _connect(socket.AF_INET, ("127.0.0.1", outside.port)),
        "connect by fast open": lambda: _fast_open(outside.port),
        "connect by MPTCP": lambda: _connect(socket.AF_INET, ("127.0.0.1", outside.port), protocol=262),
        "listen on a port": _listen,
        "connect to an abstract socket": lambda: _connect(socket.AF_UNIX, outside.abstract),
        "connect to a socket": lambda: _connect(socket.AF_UNIX, outside.socket),
        "connect to a private socket": lambda: _connect(socket.AF_UNIX, outside.private_socket),
        "reach the world": _route,
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "open a vsock": lambda: socket.socket(40, socket.SOCK_STREAM),
        "open AF_ALG": lambda: socket.socket(38, socket.SOCK_SEQPACKET),
        "write to /usr": lambda: _write("/usr/new"),
        "write to /etc": lambda: _write("/etc/new"),
        "write to /": lambda: _write("/new"),
        "write to /dev": lambda: _write("/dev/new"),
        "change core_pattern": lambda: os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)),
        "open the machine's cgroups": lambda: os.close(os.open("/sys/fs/cgroup/pids/cgroup.procs", os.O_WRONLY)),
        "open a disk": _open_disk,
        "make a device": lambda: _device(f"{workspace}/device"),
        "mount": lambda: _call(_libc.mount(b"none", workspace.encode(), b"tmpfs", 0, None)),
        "change root": lambda: os.chroot(workspace),
        "make a user namespace": lambda: _call(_libc.unshare(_CLONE_NEWUSER)),
        "make a user namespace by clone": lambda: _system_call("clone", _CLONE_NEWUSER | 17, 0, 0, 0, 0),
        "use io_uring": lambda: _system_call("io_uring_setup", 4, ctypes.create_string_buffer(256)),
        "use the kernel's keys": lambda: _system_call("keyctl", 0, -3, 1),
        "use userfaultfd": lambda: _system_call("userfaultfd", 1),
        "use bpf": lambda: _system_call("bpf", 0, ctypes.create_string_buffer(128), 128),
        "watch performance": lambda: _system_call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
        "open by handle": lambda: _system_call("open_by_handle_at", -100, ctypes.create_string_buffer(128), 0),
        "read another's shared memory": lambda: _read(outside.shm),
        "become root": lambda: os.setuid(0),
        "type for somebody else": _type,
    }


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _write(path: str) -> None:
    with open(path, "wb"):
        pass
    os.unlink(path)


def _see(pid: int) -> None:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        command = file.read()
    assert b"pytest" in command or b"python" in command


def _read_memory(outside: Outside) -> None:
    class Vector(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(outside.secret_size)
    here = Vector(ctypes.cast(buffer, ctypes.c_void_p), outside.secret_size)
    there = Vector(outside.secret_at, outside.secret_size)
    read = _libc.process_vm_readv(outside.service, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    _call(-1 if read < 0 else 0)


def _trace(pid: int) -> None:
    _call(_libc.ptrace(_PTRACE_SEIZE, pid, 0, 0))
    _libc.ptrace(_PTRACE_DETACH, pid, 0, 0)


def _connect(family: int, address: str | tuple[str, int], protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as client:
        client.settimeout(_TIMEOUT)
        client.connect(address)


def _fast_open(port: int) -> None:
    with socket.socket() as client:
        client.settimeout(_TIMEOUT)
        client.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", port))


def _listen() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


def _route() -> None:
    # Nothing is sent: connecting a datagram socket only looks for a way.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("192.0.2.1", 9))


def _open_disk() -> None:
    for name in ("vda", "sda", "nvme0n1", "xvda", "mem", "kmsg"):
        if Path("/dev", name).exists():
            os.close(os.open(f"/dev/{name}", os.O_RDONLY))
            return
    raise FileNotFoundError(2, "no disk")


def _device(path: str) -> None:
    os.mknod(path, 0o60600, os.makedev(254, 0))
    os.unlink(path)


def _type() -> None:
    leader, follower = os.openpty()
    try:
        _call(_libc.ioctl(follower, _TIOCSTI, b"x"))
    finally:
        os.close(leader)
        os.close(follower)


def _system_call(name: str, *arguments: int | ctypes.Array[ctypes.c_char]) -> None:
    number = seccomp.NUMBERS[name][_COLUMN]
    given = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    result = _libc.syscall(ctypes.c_long(number or 0), *given)
    if result == 0 and name == "clone":
        os._exit(0)
    _call(result)


def _call(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
