"""Starting a sandbox's holder, in two steps that never wait, so that one thread can have several under way.

To be called from the only thread of its process: the holder dies with the thread that started it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from execd.isolation.bubblewrap import INFO, Command

_OUT_OF_THE_WAY = 100


class HolderFailed(OSError):
    """bubblewrap has ended instead of making the sandbox; what it said is the message."""


@dataclass(slots=True)
class Starting:
    """A holder on its way. `ready` becomes readable when there is a byte or no hope; then ask `finish`. `pid` is
    bubblewrap's own process, for the one who starts it to reap; killing it ends the sandbox, too."""

    pid: int
    ready: int
    _info: int
    _said: int
    _closed: bool = field(default=False)

    def finish(self) -> Holder:
        """The holder, once `ready` is readable. Raises HolderFailed. The descriptors of this object are closed."""
        try:
            if not os.read(self.ready, 1):
                raise HolderFailed(self._complaint())
            init = json.loads(os.read(self._info, 4096))["child-pid"]
            return Holder(self.pid, init, os.pidfd_open(init))
        finally:
            self.close()

    def close(self) -> None:
        """Close the descriptors. Safe to call twice."""
        if not self._closed:
            self._closed = True
            for fd in (self.ready, self._info, self._said):
                os.close(fd)

    def _complaint(self) -> str:
        said = os.pread(self._said, 4096, 0).decode(errors="replace").strip()
        return said or "bubblewrap has ended without a word"


@dataclass(frozen=True, slots=True)
class Holder:
    """A sandbox that is there: bubblewrap's pid, that of the sandbox's first process as we see it, and a pidfd of the
    latter, which whoever has the holder closes."""

    bwrap: int
    init: int
    pidfd: int

    def kill(self) -> None:
        """End every process in the sandbox; nothing when it has ended. Its first process, and bubblewrap with it, are
        gone only when everybody who has entered is reaped by their parent outside."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return


def start(
    command: Command, uid: int | None, cgroups: Sequence[int] = (), prepare: Callable[[], None] | None = None
) -> Starting:
    """Start what makes the sandbox, as this user (None: as ourselves) and in these cgroups (descriptors of their
    cgroup.procs). The new process calls `prepare` before it becomes that user. Raises OSError where not even that is
    possible."""
    if (os.geteuid() if uid is None else uid) == 0:
        raise PermissionError("a sandbox needs a user that is not root")
    ready, ready_end = os.pipe2(os.O_CLOEXEC)
    info, info_end = os.pipe2(os.O_CLOEXEC)
    said = os.memfd_create("complaint")
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    data = {number: _memory(content) for number, content in command.data.items()}
    try:
        pid = os.fork()
        if pid == 0:
            _execute(command, uid, (cgroups, prepare), {0: nothing, 1: ready_end, 2: said, INFO: info_end, **data})
    finally:
        for fd in (ready_end, info_end, nothing, *data.values()):
            os.close(fd)
    return Starting(pid, ready, info, said)


def hold(
    command: Command,
    uid: int | None,
    cgroups: Sequence[int] = (),
    prepare: Callable[[], None] | None = None,
    within: float = 10,
) -> Holder:
    """`start` and `finish`, waiting. Raises HolderFailed, TimeoutError; nothing is left behind then."""
    starting = start(command, uid, cgroups, prepare)
    try:
        if not select.select([starting.ready], [], [], within)[0]:
            raise TimeoutError("bubblewrap takes too long")
        return starting.finish()
    except BaseException:
        starting.close()
        os.kill(starting.pid, signal.SIGKILL)
        os.waitpid(starting.pid, 0)
        raise


def _execute(
    command: Command,
    uid: int | None,
    before: tuple[Sequence[int], Callable[[], None] | None],
    fds: dict[int, int],
) -> None:
    # In the fork: whatever happens, it does not return.
    cgroups, prepare = before
    try:
        for group in cgroups:
            os.write(group, b"0")
        aside = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for number, fd in fds.items()}
        for number, fd in aside.items():
            os.dup2(fd, number)
        os.closerange(max(fds) + 1, os.sysconf("SC_OPEN_MAX"))
        if prepare is not None:
            prepare()
        if uid is not None and os.geteuid() != uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(command.argv[0], command.argv, {})
    except BaseException as error:  # noqa: BLE001 - the last word of this process
        os.write(2, f"{command.argv[0]}: {error}".encode())
    finally:
        os._exit(127)


def _memory(content: bytes) -> int:
    fd = os.memfd_create("data")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
