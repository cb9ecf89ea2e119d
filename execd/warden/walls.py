"""Sandboxes with walls: those that bubblewrap makes, and those of processes that restrict themselves with Landlock."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from execd.isolation import bubblewrap, holder, landlock, seccomp
from execd.isolation.plan import Mode
from execd.isolation.slirp import Uplink, raise_uplink
from execd.isolation.stage import staged
from execd.isolation.uplink import UplinkFailed
from execd.isolation.usage import traffic
from execd.warden import protocol
from execd.warden.enclosures import Enclosed, kill
from execd.warden.linux import join_network
from execd.warden.processes import descendants

_MAKING_SECONDS = 20.0


class Bubble(Enclosed):
    """Namespaces of its own, which last as long as its holder."""

    walled = True
    _holder: holder.Holder | None = None
    _bwrap = 0
    _uplink: Uplink | None = None
    _uplink_pid = 0

    def open(self, on_open: Callable[[OSError | None], None]) -> None:
        """Start the holder, and say so when the sandbox is there. Raises OSError."""
        plan, around, prepare = self.plan, self._means.surroundings(self.plan.uid), None
        if os.geteuid() == 0:
            plan, around, prepare = staged(plan, around)
        self._group = self._means.group(self.plan)
        entries = self._group.entries() if self._group is not None else []
        resolv_conf = None if plan.uplink is None else plan.uplink.resolv_conf()
        command = bubblewrap.command(plan, around, seccomp.program(str(Mode.BWRAP)), resolv_conf)
        try:
            starting = holder.start(command, plan.uid, entries, prepare)
        finally:
            protocol.close_all(entries)
        self._bwrap = starting.pid
        self._processes.serve(starting.pid, self._holder_ended)
        too_long = self._loop.after(_MAKING_SECONDS, lambda: kill(starting.pid, signal.SIGKILL))

        def made() -> None:
            too_long()
            self._loop.forget(starting.ready)
            try:
                self._holder = starting.finish()
            except OSError as error:
                kill(starting.pid, signal.SIGKILL)
                self._on_closed.append(partial(on_open, error))
                return
            try:
                self._raise_uplink(self._holder.init)
            except UplinkFailed as failed:
                self.close(partial(on_open, OSError(errno.ENETUNREACH, str(failed))))
                return
            on_open(None)

        self._loop.watch(starting.ready, made)

    def root(self) -> int:
        """A descriptor of the root folder as it is inside. Raises OSError."""
        return os.open(f"/proc/{self._alive().init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def usage(self) -> dict[str, Any]:
        """The traffic of its network besides."""
        received, sent = traffic(self._alive().init)
        return {**super().usage(), "received": received, "sent": sent}

    def socket(self, family: int) -> socket.socket:
        """A new TCP socket that belongs to its network, from a fork that has gone there. Raises OSError."""
        ours, theirs = protocol.make_pair()
        with ours, theirs:
            if os.fork() == 0:
                _send_socket(theirs, self._alive().pidfd, family)
            theirs.close()
            received = protocol.receive(ours)
        if received is None or not received[1]:
            raise OSError(0 if received is None else received[0]["errno"], "the sandbox gave no socket")
        return socket.socket(fileno=received[1][0])

    def _raise_uplink(self, init: int) -> None:
        # Before anybody hears that the sandbox is there: nothing of it has run yet.
        plan = self.plan
        if plan.uplink is not None:
            self._uplink = raise_uplink(init, plan.uplink, None if plan.uid is None else (plan.uid, plan.uid))
            self._uplink_pid = self._uplink.pid
            self._processes.serve(self._uplink_pid, self._uplink_ended)

    def _take_uplink_down(self) -> None:
        if self._uplink is not None:
            self._uplink.abandon()
            self._uplink = None

    def _uplink_ended(self) -> None:
        self._uplink_pid = 0
        self._take_uplink_down()

    def _alive(self) -> holder.Holder:
        if self._holder is None or self.lost:
            raise ProcessLookupError(3, "the sandbox has ended")
        return self._holder

    def _keys(self) -> tuple[int | None, int | None]:
        return self._alive().pidfd, None

    def _members(self) -> set[int]:
        started = {process.pid for process in self._processes.of(self.plan.id) if process.pid}
        if self._holder is not None and not self.lost:
            started.add(self._holder.init)
        members = started | {pid for member in started for pid in descendants(member)}
        return members if self.closing else members - {self._holder.init if self._holder else 0}

    def _kill_all(self) -> None:
        self._processes.release_all(self.plan.id)
        self._take_uplink_down()
        if self._holder is not None:
            # bubblewrap ends after it, and with it everything in there has: it must not be gone before.
            self._holder.kill()
        elif self._bwrap:
            kill(self._bwrap, signal.SIGKILL)
        if self._group is not None:
            self._group.kill()

    def _is_empty(self) -> bool:
        return not self._bwrap and not self._uplink_pid and not self._processes.of(self.plan.id)

    def _holder_ended(self) -> None:
        self._bwrap = 0
        self._take_uplink_down()
        if self._holder is not None:
            os.close(self._holder.pidfd)
            self._holder = None
        if self.closing:
            return
        self.lost = True
        self.on_lost()


class Restricted(Enclosed):
    """The machine, of which each process may touch only what is planned. Without a user and a control group of its own
    it is emptied as one without walls is."""

    _ruleset: int | None = None

    def open(self, on_open: Callable[[OSError | None], None]) -> None:
        """Make the rules. Raises OSError."""
        self._ruleset = landlock.ruleset(landlock.rules(self.plan))
        self._group = self._means.group(self.plan)
        on_open(None)

    def socket(self, family: int) -> socket.socket:
        """Refused: the machine's network is not the sandbox's. Raises OSError."""
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"there is no network in the sandbox, of family {family}")

    def _keys(self) -> tuple[int | None, int | None]:
        return None, self._ruleset

    def _members(self) -> set[int]:
        uid = self.plan.uid
        return super()._members() | (set() if uid in (None, os.geteuid()) else _processes_of(uid))

    def _closed(self) -> None:
        if self._ruleset is not None:
            os.close(self._ruleset)
            self._ruleset = None
        super()._closed()


ENCLOSURES: dict[Mode, type[Enclosed]] = {Mode.BWRAP: Bubble, Mode.LANDLOCK: Restricted, Mode.PROCESS: Enclosed}


def _send_socket(to: socket.socket, member: int, family: int) -> None:
    # In a fork, which does not return.
    try:
        try:
            join_network(member)
            made = socket.socket(family, socket.SOCK_STREAM)
            protocol.send(to, {}, [made.fileno()])
        except OSError as error:
            protocol.send(to, {"errno": error.errno})
    finally:
        os._exit(0)


def _processes_of(uid: int | None) -> set[int]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid and not _is_zombie(name):
                    found.add(int(name))
            except OSError:
                continue
    return found


def _is_zombie(name: str) -> bool:
    with open(f"/proc/{name}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0] == b"Z"
