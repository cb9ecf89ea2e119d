"""Starting the uplink of a sandbox, and closing what it must not reach, from outside of the sandbox."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from execd.isolation.netlink import add_routes
from execd.isolation.uplink import DEVICE, PROGRAM, TUNNELS, UplinkFailed, UplinkPlan, uplink_missing

_NS_GET_USERNS = 0xB701
_CLONE_NEWNS = 0x20000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


_PATIENCE = 10.0


class Uplink:
    """An uplink that is up."""

    def __init__(self, process: subprocess.Popen[bytes], leave: int) -> None:
        self.pid = process.pid
        self._process = process
        self._leave = leave

    def close(self) -> None:
        """Take it down; safe to call twice. It goes by itself when this process ends."""
        if self._leave >= 0:
            self._let_go()
            _end(self._process)

    def abandon(self) -> None:
        """The same without waiting: its process is the caller's to reap, who knows its `pid`. Safe to call twice."""
        if self._leave >= 0:
            self._let_go()
            self._process.kill()
        # Its number may soon be another's, for which nobody is to wait in its place.
        self._process.returncode = 0

    def _let_go(self) -> None:
        os.close(self._leave)
        self._leave = -1


def raise_uplink(pid: int, plan: UplinkPlan, user: tuple[int, int] | None = None) -> Uplink:
    """Give the sandbox whose first process this is its network, all closed that is to be closed.

    Nothing of the sandbox's may run before this returns, in some ten milliseconds. It forks, so the caller must have
    one thread. A service run by root names the `user` (uid, gid) that the sandbox's namespaces belong to: the uplink is
    that user's too, and has no more power than it. Raises UplinkFailed.
    """
    missing = uplink_missing()
    if missing:
        raise UplinkFailed(missing)
    try:
        with _namespaces(pid) as (netns, userns):
            uplink = _start(plan, netns, userns, user)
            try:
                _inside(netns, userns, lambda: _close(plan))
            except BaseException:
                uplink.close()
                raise
    except (OSError, subprocess.SubprocessError) as error:
        raise UplinkFailed(f"the sandbox's network cannot be made: {error}") from error
    return uplink


@contextmanager
def _namespaces(pid: int) -> Iterator[tuple[int, int | None]]:
    """Descriptors of the process's network namespace and of the user namespace that owns it, None for our own. The
    process itself may be in one below that, which has no power over the network."""
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        userns = fcntl.ioctl(netns, _NS_GET_USERNS)
        try:
            ours = os.path.samestat(os.fstat(userns), os.stat("/proc/self/ns/user"))
            yield netns, None if ours else userns
        finally:
            os.close(userns)
    finally:
        os.close(netns)


def _start(plan: UplinkPlan, netns: int, userns: int | None, user: tuple[int, int] | None) -> Uplink:
    """Start the program, and return when it says that the device is there."""
    heard, ready = os.pipe2(os.O_CLOEXEC)
    lives, leave = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(heard, "rb") as answer, tempfile.TemporaryFile() as said:
        try:
            command = plan.argv(shutil.which(PROGRAM) or PROGRAM, netns, userns, ready, lives)
            kept = [fd for fd in (netns, userns, ready, lives) if fd is not None]
            uplink = Uplink(_spawn(command, kept, user, said.fileno()), leave)
        except BaseException:
            os.close(leave)
            raise
        finally:
            os.close(ready)
            os.close(lives)
        if _answers(answer.fileno()):
            return uplink
        uplink.close()
        said.seek(0)
        raise UplinkFailed(f"{PROGRAM} failed: {said.read(2000).decode(errors='replace').strip()}")


def _answers(fd: int) -> bool:
    waiting = select.poll()  # a warden of many sandboxes has more descriptors than select() takes
    waiting.register(fd, select.POLLIN)
    return bool(waiting.poll(_PATIENCE * 1000)) and os.read(fd, 1) == b"1"


def _spawn(command: list[str], kept: list[int], user: tuple[int, int] | None, said: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        cwd="/",
        env={"PATH": os.defpath},
        pass_fds=kept,
        start_new_session=True,
        preexec_fn=None if user is None else lambda: _become(*user),  # noqa: PLW1509 - one thread
    )


def _become(uid: int, gid: int) -> None:
    """Be that user, one that can open the tunnel device also where that is root's alone."""
    if os.stat(TUNNELS).st_mode & 0o006 != 0o006:
        _own_devices()
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _own_devices() -> None:
    """Give this process a folder of devices that nobody else sees."""
    libc, folder = ctypes.CDLL(None, use_errno=True), os.path.dirname(TUNNELS)
    device = os.stat(TUNNELS).st_rdev
    _check(libc.unshare(_CLONE_NEWNS))
    _check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    _check(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", ctypes.c_ulong(0), b"mode=755"))
    os.mknod(TUNNELS, stat.S_IFCHR, device)
    os.chmod(TUNNELS, 0o666)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _inside(netns: int, userns: int | None, work: Callable[[], None]) -> None:
    """Do the work in the namespaces, in a fork. Raises the OSError that it raises."""
    child = os.fork()
    if child == 0:
        code = 255
        with suppress(BaseException):
            try:
                _enter(netns, userns)
                work()
                code = 0
            except OSError as error:
                code = min(error.errno or 255, 255)
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def _enter(netns: int, userns: int | None) -> None:
    signal.alarm(10)
    libc = ctypes.CDLL(None, use_errno=True)
    for fd, kind in ((userns, _CLONE_NEWUSER), (netns, _CLONE_NEWNET)):
        if fd is not None:
            _check(libc.setns(fd, kind))


def _check(result: int) -> None:
    if result:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _close(plan: UplinkPlan) -> None:
    """Close what is to be closed, in the namespaces."""
    # Where there is no IPv6, or /proc/sys is read-only, there is the route.
    with suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6", "w") as file:
        file.write("1")
    routes = plan.routes(socket.if_nametoindex(DEVICE))
    if not os.path.exists("/proc/net/if_inet6"):
        routes = [route for route in routes if route.network.version == 4]
    add_routes(routes)
