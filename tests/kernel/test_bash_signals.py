"""Interrupting a session's runs: the first and the second time, and what is hit by neither."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from anyio import to_thread

from tests.kernel.bash_session import Session
from tests.live.waiting import eventually, is_gone

IGNORE = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
POLITE = "import time\ntry:\n    print('on', flush=True); time.sleep(600)\nexcept KeyboardInterrupt: pass"

# It says so itself that it is there: a shell that is about to start it may miss the signal.
SLEEP = "sh -c 'echo on; exec sleep 600'"

# What a run does when it is interrupted.
SOFT = {
    "external command": f"{SLEEP}; echo not reached",
    "loop of builtins": "echo on; while :; do :; done",
    "loop of commands": "echo on; while :; do sleep 0.01; done",
    "function": "f() { local x=inner; while :; do :; done; }; echo on; f",
    "substitution": "exec 7>&1; y=$(echo on >&7; exec sleep 600)",
    "subshell": "echo on; (while :; do :; done)",
    "pipe": "echo on; yes | cat >/dev/null; echo not reached",
    "wait": "sleep 600 & echo on; wait",
    "open of a fifo": "mkfifo fifo; echo on; read y <fifo",
    "read of a fifo": "mkfifo fifo; exec 7<>fifo; echo on; read y <&7",
    "program that exits well": f'python3 -c "{POLITE}"; echo not reached',
    "errexit": f"set -e; {SLEEP}",
    "exit trap": f"trap 'echo cleanup' EXIT; {SLEEP}",
}
HARD = {
    "program that ignores it": f'python3 -c "{IGNORE}"; echo not reached',
    "shell that ignores it": "trap '' INT; echo on; sleep 600; echo not reached; while :; do :; done",
    "shell that ignores it in a loop": "trap '' INT; echo on; while :; do sleep 0.01; done",
    "shell that handles it": "trap 'echo handled' INT; echo on; while :; do :; done",
    "job control": f"set -m; {SLEEP}; echo not reached",
}


@pytest.mark.parametrize("what", SOFT)
async def test_one_interrupt_ends_the_run_and_keeps_the_state(session: Session, what: str) -> None:
    await session.says("x=kept; f0() { echo $x; }; cd /usr")
    run = session.begin("cd $OLDPWD; " + SOFT[what])
    await run.says("on\n")
    await session.kernel.interrupt()
    ran = await run.end()
    assert ran.code == 130
    assert "not reached" not in ran.stdout
    assert ("cleanup" in ran.stdout) == (what == "exit trap")
    assert await session.says("f0; ls $OLDPWD >/dev/null && echo there") == "kept\nthere\n"


@pytest.mark.parametrize("what", HARD)
async def test_a_second_interrupt_ends_what_the_first_does_not(session: Session, what: str) -> None:
    await session.says("x=kept")
    run = session.begin(HARD[what])
    await run.says("on\n")
    await session.kernel.interrupt()
    if what == "shell that handles it":
        await run.says("handled")
    await session.kernel.interrupt()
    ran = await run.end()
    assert ran.code == 130
    assert "not reached" not in ran.stdout
    assert await session.says("echo $x") == "kept\n"


async def test_a_background_job_of_an_earlier_run_is_not_hit(session: Session) -> None:
    earlier = int(await session.says("sleep 600 & echo $!"))
    run = session.begin(f'sleep 600 & echo $!; python3 -c "{IGNORE}"')
    await run.says("on\n")
    own = int(run.ran.stdout.split()[0])
    await session.kernel.interrupt()
    await session.kernel.interrupt()
    assert (await run.end()).code == 130
    await to_thread.run_sync(eventually, lambda: is_gone(own))
    assert not is_gone(earlier)


async def test_an_interrupt_never_hits_the_next_run(session: Session) -> None:
    await session.says("x=0")
    for number in range(60):
        run = session.begin(f"for ((n = 0; n < {number * 40}; n++)); do :; done")
        await run.begun()
        await session.kernel.interrupt()
        assert (await run.end()).code in (0, 130)
        ran = await session.run("for n in {1..2000}; do :; done; echo $((x += 1))")
        assert (ran.code, ran.stdout) == (0, f"{number + 1}\n")


async def test_a_signal_between_runs_is_nobodys(session: Session) -> None:
    await session.says("x=5")
    pid = session.pid
    for _ in range(3):
        os.killpg(pid, signal.SIGINT)
        await session.kernel.interrupt()
        assert await session.says("echo $x") == "5\n"
    assert session.pid == pid


STARTED = {
    "background job": "sleep 600 & echo $!",
    "session of its own": "setsid sleep 600 & echo $!",
    "daemon": "(setsid sh -c 'echo $$; exec sleep 600' </dev/null &)",
    "no environment": "env -i sleep 600 & echo $!",
    "no environment and a session of its own": "setsid env -i sleep 600 & echo $!",
    "left by a shell that has ended": "nohup sleep 600 >/dev/null 2>&1 & echo $!; exit 3",
    "foreground, stopped": "sleep 600 & kill -STOP $!; echo $!",
}


@pytest.mark.parametrize("what", STARTED)
async def test_the_end_of_a_session_ends_everything_in_it(session: Session, what: str) -> None:
    run = session.begin(STARTED[what])
    await run.end()
    await run.says("\n")
    pid = int(run.ran.stdout)
    assert not is_gone(pid)
    await session.kernel.shutdown()
    await to_thread.run_sync(eventually, lambda: is_gone(pid))


async def test_the_end_of_a_session_gives_its_descriptors_back(session: Session) -> None:
    await session.run("sleep 600 & exit 1")
    await session.run("sleep 600 &")
    await session.kernel.shutdown()
    left = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert not [name for name in left if "memfd:" in name]
    await session.kernel.shutdown()
