"""Sandboxes made of execd.isolation alone, without a warden, for functions to be run in."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from execd.isolation import bubblewrap, entering, etc, holder, landlock, seccomp
from execd.isolation.entrance import Entrance, join, settle
from execd.isolation.plan import Bind, Limits, Mode, Plan
from tests.isolation.forks import close_all_but, fork, heard, reply

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")
NAMESPACES = pytest.mark.skipif(
    subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode != 0,
    reason="this machine allows no user namespaces",
)

SANDBOX_USER, OTHER_USER, PLAIN_USER = 23456, 23457, 23458


class Sandbox:
    """What functions can be run in."""

    def __init__(self, how: Entrance, held: holder.Holder | None = None, ruleset: int | None = None) -> None:
        self.how = how
        self.held = held
        self._ruleset = ruleset

    def call(self, function: Callable[[], Any], between: Callable[[int], None] | None = None) -> Any:
        """What the function returns, run inside as a kernel is. `between` is called with the pid of the process while
        it is inside and has not settled yet. Raises Ended, OSError, AssertionError."""
        answer, end = os.pipe()
        ready, ready_end = os.pipe()
        go, go_end = os.pipe()
        kept = [end, ready_end, go, *self._means()]
        shim = fork()
        if shim == 0:
            close_all_but(kept)
            reply(end, lambda: self._inside(function, ready_end, go))
        for fd in (end, ready_end, go):
            os.close(fd)
        try:
            pid = os.read(ready, 32)
            if pid and between is not None:
                between(int(pid))
            os.close(go_end)
            return heard(answer)
        finally:
            os.close(ready)
            os.waitpid(shim, 0)

    def run(self, script: str) -> tuple[int, str]:
        """The exit code and what the shell script has printed."""
        return tuple(self.call(lambda: shell(script)))

    def _inside(self, function: Callable[[], Any], ready: int, go: int) -> Any:
        join(self.how, self.held.pidfd if self.held else None)
        shim = os.getpid()
        if pid := os.fork():
            os.write(ready, str(pid).encode())
            os._exit(0)
        os.setsid()
        os.read(go, 1)
        settle(self.how, shim, self._ruleset)
        for fd in (ready, go, *self._means()):
            os.close(fd)
        return function()

    def _means(self) -> list[int]:
        return [fd for fd in (self.held.pidfd if self.held else None, self._ruleset) if fd is not None]


def shell(script: str) -> tuple[int, str]:
    """Run a shell script, from a process that is inside already."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.closerange(3, 1000)
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        try:
            os.execve("/bin/sh", ["sh", "-c", script], {"PATH": "/usr/bin:/bin", "HOME": "/home/user"})
        finally:
            os._exit(127)
    os.close(write)
    with os.fdopen(read, encoding="utf-8", errors="replace") as file:
        text = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def plan(mode: Mode, workspace: Path, limits: Limits | None = None) -> Plan:
    """A sandbox with this workspace, for a service that is root or a plain user, as we are."""
    inside = "/workspace" if mode is Mode.BWRAP else str(workspace)
    home = etc.HOME if mode is Mode.BWRAP else inside
    binds = (Bind(str(workspace), inside, writable=True),)
    uid = SANDBOX_USER if os.geteuid() == 0 else None
    return Plan("sb_test", mode, uid, inside, home, binds, limits or Limits())


@contextmanager
def sandbox(
    wanted: Plan,
    folder: Path,
    *,
    program: str | None = None,
    disable_userns: bool = True,
    fresh_proc: bool = True,
) -> Iterator[Sandbox]:
    """A sandbox as planned; the folder is for what it is made with."""
    how = entering.entrance(wanted, os.getpid())
    if wanted.mode is Mode.BWRAP:
        found = program or bubblewrap.program()
        assert found is not None, "bubblewrap is not installed"
        if not (folder / "etc").exists():
            etc.furnish(folder / "etc")
        around = bubblewrap.Surroundings.found(
            found, str(folder / "etc"), disable_userns=disable_userns, fresh_proc=fresh_proc
        )
        with _held(wanted, around) as held:
            yield Sandbox(how, held)
    elif wanted.mode is Mode.LANDLOCK:
        ruleset = landlock.ruleset(landlock.rules(wanted))
        yield Sandbox(how, ruleset=ruleset)
        os.close(ruleset)
    else:
        yield Sandbox(how)


@contextmanager
def _held(wanted: Plan, around: bubblewrap.Surroundings) -> Iterator[holder.Holder]:
    held = holder.hold(bubblewrap.command(wanted, around, seccomp.program("bwrap")), wanted.uid)
    try:
        yield held
    finally:
        held.kill()
        os.close(held.pidfd)
        # Those that have entered are our children: the sandbox's first process ends after all of them are reaped.
        while os.waitpid(-1, 0)[0] != held.bwrap:
            pass
