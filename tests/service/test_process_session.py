"""The processes of one session: found, signalled, ended, whatever process group they are in."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from execd.service.process_session import ProcessSession


@contextmanager
def started(script: str) -> Iterator[tuple[ProcessSession, subprocess.Popen[bytes]]]:
    """A session whose leader has said that it is ready."""
    with subprocess.Popen(["bash", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == b"ready\n"
        try:
            yield ProcessSession(leader.pid), leader
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in psutil.Process(leader.pid).children(recursive=True):
                    process.kill()
            leader.kill()


async def test_it_finds_its_own_in_every_process_group_and_no_one_else() -> None:
    with started("set -m; sleep 1000 & sleep 1001 & echo ready; wait") as (session, leader):
        found = session.living()
        assert leader.pid in found
        assert {os.getsid(pid) for pid in found} == {leader.pid}
        assert len({os.getpgid(pid) for pid in found}) >= 3
        assert os.getpid() not in found


async def test_it_ends_who_ignores_a_hangup_and_who_is_stopped() -> None:
    script = "trap '' HUP; set -m; sleep 1000 & (kill -STOP $BASHPID; sleep 1001) & echo ready; wait"
    with started(script) as (session, leader):
        await session.end()
        assert session.living() == []
        assert psutil.Process(leader.pid).status() == psutil.STATUS_ZOMBIE


async def test_who_goes_at_a_hangup_is_not_killed() -> None:
    with started("trap 'exit 7' HUP; echo ready; while :; do sleep 0.01; done") as (session, leader):
        await session.end()
        assert leader.wait() == 7


async def test_a_session_that_is_forgotten_is_never_signalled_again() -> None:
    with started("echo ready; read -r _") as (session, leader):
        await session.end()
        session.reap()
        session.reap()
        assert not psutil.pid_exists(leader.pid)
        assert session.living() == []
