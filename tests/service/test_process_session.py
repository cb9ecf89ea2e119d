"""The processes of one session: found, signalled, ended, whatever process group they are in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import psutil

from execd.isolation.launch import Exit, Launch, Launcher, Started
from execd.service.process_session import ProcessSession


@asynccontextmanager
async def started(launcher: Launcher, script: str) -> AsyncIterator[tuple[ProcessSession, Started]]:
    """A session whose leader has said that it is ready."""
    stdin, kept = os.pipe()
    stdout, said = os.pipe()
    try:
        fds = {0: stdin, 1: said, 2: 2}
        leader = launcher.launch(Launch(("bash", "-c", script), "/", dict(os.environ), fds, held=True))
        assert await anyio.to_thread.run_sync(os.read, stdout, 100) == b"ready\n"
        yield ProcessSession(leader), leader
    finally:
        for fd in (stdin, kept, stdout, said):
            os.close(fd)


async def end_of(leader: Started) -> Exit:
    """How a process ended, as soon as it has."""
    ended = anyio.Event()
    leader.on_exit(lambda _: ended.set())
    await ended.wait()
    assert leader.exit is not None
    return leader.exit


async def test_it_finds_its_own_in_every_process_group_and_no_one_else(launcher: Launcher) -> None:
    async with started(launcher, "set -m; sleep 1000 & sleep 1001 & echo ready; wait") as (session, leader):
        found = session.living()
        assert leader.pid in found
        assert {os.getsid(pid) for pid in found} == {leader.pid}
        assert len({os.getpgid(pid) for pid in found}) >= 3
        assert os.getpid() not in found


async def test_it_ends_who_ignores_a_hangup_and_who_is_stopped(launcher: Launcher) -> None:
    script = "trap '' HUP; set -m; sleep 1000 & (kill -STOP $BASHPID; sleep 1001) & echo ready; wait"
    async with started(launcher, script) as (session, leader):
        await session.end()
        assert session.living() == []
        assert psutil.Process(leader.pid).status() == psutil.STATUS_ZOMBIE


async def test_who_goes_at_a_hangup_is_not_killed(launcher: Launcher) -> None:
    async with started(launcher, "trap 'exit 7' HUP; echo ready; while :; do sleep 0.01; done") as (session, leader):
        await session.end()
        assert (await end_of(leader)).code == 7


async def test_a_session_that_is_forgotten_is_never_signalled_again(launcher: Launcher) -> None:
    async with started(launcher, "echo ready; read -r _") as (session, leader):
        await session.end()
        await end_of(leader)
        assert psutil.pid_exists(leader.pid)
        session.forget()
        session.forget()
        assert not psutil.pid_exists(leader.pid)
        assert session.living() == []
