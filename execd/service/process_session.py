"""The processes of one session in the sense of setsid(2): a leader, and whatever it started, job control or not."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator

import anyio
import psutil

from execd.isolation.launch import Started

HANGUP_GRACE = 1.0
_KILL_PATIENCE = 5.0


class ProcessSession:
    """Everything in the session of `leader`, which was started `held`, in all its process groups.

    The leader's number stays the session's until the leader is released: only then could another process get it.
    """

    def __init__(self, leader: Started) -> None:
        self.leader = leader.pid
        self._started = leader
        self._forgotten = False

    def living(self) -> list[int]:
        """The pids of its processes that have not ended, the leader's included."""
        if self._forgotten:
            return []
        return [pid for pid in psutil.pids() if _session_of(pid) == self.leader and not _is_zombie(pid)]

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to each of them that may be signalled."""
        for pid in self.living():
            with self._held(pid) as pidfd:
                if pidfd is not None:
                    _send(pidfd, signum)

    async def end(self) -> None:
        """Hang up, as a closed terminal does, and kill what has not gone after a short grace."""
        self.signal(signal.SIGHUP)
        # What is stopped would never see the hangup.
        self.signal(signal.SIGCONT)
        with anyio.move_on_after(HANGUP_GRACE):
            await self._gone()
        # Only a process that the kernel of the machine holds up outlives this.
        with anyio.move_on_after(_KILL_PATIENCE):
            while living := self.living():
                self.signal(signal.SIGKILL)
                await self._wait(living)

    def forget(self) -> None:
        """Let the leader's number go; nothing counts as being in the session any more. Safe to call twice."""
        self._forgotten = True
        self._started.release()

    async def _gone(self) -> None:
        while living := self.living():
            await self._wait(living)

    async def _wait(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with self._held(pid) as pidfd:
                if pidfd is not None:
                    await anyio.wait_readable(pidfd)

    @contextlib.contextmanager
    def _held(self, pid: int) -> Iterator[int | None]:
        """A pidfd of the process; None when it is gone, or no longer one of ours."""
        with _opened(pid) as pidfd:
            # Asked again now that the process is held: its pid may have been another's before.
            yield pidfd if _session_of(pid) == self.leader else None


@contextlib.contextmanager
def _opened(pid: int) -> Iterator[int | None]:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def _send(pidfd: int, signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, signum)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
