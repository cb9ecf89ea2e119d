"""How long the warden lives, who may use it, and what its death and that of others does."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import sys
from pathlib import Path
from signal import SIGKILL, SIGTERM
from unittest.mock import create_autospec

import anyio
import pytest

from execd.isolation.launch import Exit
from execd.isolation.plan import Mode, Plan
from execd.warden.client import Enclosure, Warden
from execd.warden.line import connect
from execd.warden.loop import Loop
from execd.warden.processes import Process, Processes
from execd.warden.protocol import VERSION, close_all, make_socket, receive, send
from tests.warden.conftest import alive
from tests.warden.tools import Cases, Output, ended, members, state, until


async def test_its_socket_is_its_users_alone(warden: Warden, folder: Path) -> None:
    assert stat.S_IMODE((folder / "warden.sock").stat().st_mode) == 0o600


async def test_it_is_small_and_has_one_thread(warden: Warden) -> None:
    status = Path(f"/proc/{warden.pid}/status").read_text()
    assert "Threads:\t1\n" in status
    [size] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")]
    assert size < 12_000


async def test_another_client_is_given_the_same_warden(warden: Warden, folder: Path, enclosure: Enclosure) -> None:
    other = await Warden.reach(folder, 60)
    assert other.pid == warden.pid
    other.hang_up()
    os.close(other.enclosures["sb_test"].root)
    assert not warden.lost.is_set()


async def test_two_services_that_come_at_once_share_one(folder: Path) -> None:
    one, other = await asyncio.gather(Warden.reach(folder, 60), Warden.reach(folder, 60))
    assert one.pid == other.pid
    other.hang_up()
    await one.end()


async def test_what_a_client_leaves_is_adopted_by_the_next(warden: Warden, folder: Path, tmp_path: Path) -> None:
    enclosure = await warden.open(Plan("sb_1", Mode.PROCESS, None, str(tmp_path), "/home/me"))
    with Cases(enclosure, "/") as cases, Output() as output:
        goes_on = cases.start("sh", "-c", "echo on; sleep 1000; :", fds={1: output.end})
        held = cases.start("sh", "-c", "exit 3", held=True)
        await output.line()
        warden.hang_up()
        await until(lambda: state(held.pid) == "Z")
    assert goes_on.exit is not None, "who hangs up hears nothing any more"
    next_one = await Warden.reach(folder, 60)
    adopted = next_one.enclosures["sb_1"]
    assert adopted.plan == enclosure.plan
    children = {child.pid: child for child in adopted.children}
    assert children[held.pid].exit is not None
    assert (await ended(children[held.pid])).code == 3
    children[held.pid].release()
    children[goes_on.pid].signal_group(SIGKILL)
    assert (await ended(children[goes_on.pid])).code == -SIGKILL
    os.close(enclosure.root)
    await adopted.close()
    await next_one.end()


async def test_without_a_client_it_ends_everything_and_itself(folder: Path) -> None:
    warden = await Warden.reach(folder, 0.2)
    enclosure = await warden.open(Plan("sb_1", Mode.PROCESS, None, "/", "/"))
    with Cases(enclosure, "/") as cases:
        started = cases.start("sh", "-c", "setsid setsid sleep 1000 & sleep 1000; :")
        await until(lambda: len(members(warden.pid)) >= 2)
        left = [warden.pid, *members(warden.pid)]
        warden.hang_up()
        await until(lambda: not any(map(alive, left)))
    assert started.pid in left
    assert not (folder / "warden.sock").exists()
    os.close(enclosure.root)


@pytest.mark.parametrize("signum", [SIGTERM, SIGKILL])
async def test_its_end_is_the_end_of_its_children_and_is_told(folder: Path, signum: int) -> None:
    warden = await Warden.reach(folder, 60)
    enclosure = await warden.open(Plan("sb_1", Mode.PROCESS, None, "/", "/"))
    with Cases(enclosure, "/") as cases:
        started = cases.start("sh", "-c", "trap '' TERM HUP; while :; do sleep 1; done")
        os.kill(warden.pid, signum)
        await asyncio.wait_for(warden.lost.wait(), 20)
        assert (await ended(started)).code == -SIGKILL
        assert enclosure.lost.is_set()
        await until(lambda: not alive(started.pid))
        with pytest.raises(ConnectionResetError):
            cases.start("true")
        with pytest.raises(ConnectionResetError):
            await enclosure.fork_kernel(cases.launch("python", "/kernel.py"))
    started.signal(SIGTERM)
    await enclosure.close()
    again = await Warden.reach(folder, 60)
    assert again.pid != warden.pid
    assert again.enclosures == {}
    await again.end()


async def test_orphans_are_adopted_and_reaped(warden: Warden, cases: Cases) -> None:
    with Output() as output:
        await ended(cases.start("sh", "-c", "setsid sh -c 'sleep 0.1' & echo $!", fds={1: output.end}))
        orphan = int((await output.text()).strip())
    await until(lambda: state(orphan) == "")
    assert members(warden.pid) == []


async def test_a_client_that_vanishes_while_it_starts_something_leaves_nothing(
    warden: Warden, enclosure: Enclosure, folder: Path
) -> None:
    line = connect(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    request = {"id": 1, "op": "launch", "sandbox": "sb_test", "argv": ["sleep", "1000"], "cwd": "/", "env": {}}
    request |= {"fds": [0, 1, 2], "terminal": False, "uid": None, "gid": None, "held": True}
    send(line, request, [nothing] * 3)
    line.close()
    os.close(nothing)
    await until(lambda: members(warden.pid) == [])


async def test_what_makes_no_sense_is_refused_and_harms_nobody(warden: Warden, folder: Path) -> None:
    for message in ({"op": "dance"}, {"op": "launch"}, {"op": "open", "plan": {"id": 1}}, {"op": "signal"}, {}):
        with connect(folder) as line:
            send(line, {"id": 7, **message})
            received = receive(line)
            assert received is not None
            assert received[0]["id"] == 7
            assert received[0]["error"]["errno"] in (errno.EINVAL, errno.ENOSYS, errno.ESRCH)
    with connect(folder) as line:
        line.send(b"?!")
        assert receive(line) is None, "who does not speak the language is hung up on"
    assert not warden.lost.is_set()


async def test_a_client_that_does_not_read_keeps_nobody_waiting(warden: Warden, cases: Cases, folder: Path) -> None:
    with connect(folder) as deaf:
        send(deaf, {"id": 1, "op": "hello", "listen": True})
        for _ in range(600):
            cases.start("true")
        assert (await cases.run("echo", "on"))[1] == "on\n"


HELLO = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(b'={"op": "hello"}')
print(s.recv(9))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")
@pytest.mark.parametrize(("mode", "said"), [(0o600, ""), (0o666, "b''\n")])
async def test_another_user_is_not_let_in(warden: Warden, folder: Path, mode: int, said: str) -> None:
    (folder / "warden.sock").chmod(mode)
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    command = [python, "-c", HELLO, str(folder / "warden.sock")]
    done = await anyio.run_process(command, user=65534, check=False)
    assert done.stdout in (b"", b"b''\n")


@pytest.mark.parametrize("proof", [None, os.O_PATH, os.O_WRONLY])
async def test_who_cannot_read_its_file_is_not_let_in(warden: Warden, folder: Path, proof: int | None) -> None:
    fds = [] if proof is None else [os.open(folder / "warden.lock", proof)]
    with make_socket() as line:
        line.connect(str(folder / "warden.sock"))
        send(line, {"op": "enter"}, fds)
        with contextlib.suppress(BrokenPipeError):
            send(line, {"id": 1, "op": "hello"})
        with contextlib.suppress(ConnectionResetError):
            assert receive(line) is None
    close_all(fds)
    assert not warden.lost.is_set()


async def test_end_of_a_process_that_is_told_before_its_start_is_not_lost(folder: Path) -> None:
    """The warden's answer and the exit may come on two sockets, in any order."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(folder / "warden.sock"))
    listener.listen()
    (folder / "warden.lock").touch()

    def play() -> None:
        listening, _ = listener.accept()
        line, _ = listener.accept()
        with listening, line:
            for proving in (listening, line):
                proved = receive(proving)
                assert proved is not None
                close_all(proved[1])
            hello = receive(listening)
            assert hello is not None
            result = {"version": VERSION, "pid": os.getpid(), "sandboxes": {}, "processes": []}
            send(listening, {"id": hello[0]["id"], "result": result})
            asked = receive(listening)
            assert asked is not None
            exit_ = {"event": "exit", "process": 9, "pid": 99, "code": 5, "cpu_seconds": None, "peak_memory": None}
            send(listening, exit_)
            send(listening, {"id": asked[0]["id"], "result": {"process": 9, "pid": 99}})
            receive(listening)

    played = asyncio.get_running_loop().run_in_executor(None, play)
    warden = await Warden.reach(folder, 60)
    child = await warden.fork({"op": "fork_kernel", "held": False}, [])
    assert child.exit == Exit(5)
    assert (await ended(child)).code == 5
    warden.hang_up()
    await played
    listener.close()


async def test_a_sandbox_in_which_nothing_could_be_started_is_closed_at_once(warden: Warden, tmp_path: Path) -> None:
    # What has failed is reaped at any moment: before the sandbox is closed, meanwhile, or afterwards.
    for number in range(40):
        enclosure = await warden.open(Plan(f"sb_{number}", Mode.PROCESS, None, str(tmp_path), "/home/me"))
        with Cases(enclosure, "/") as cases:
            for _ in range(3):
                with pytest.raises(FileNotFoundError):
                    cases.start("no-such-program")
            with anyio.fail_after(20):
                await enclosure.close()


def test_whoever_hears_that_a_child_was_reaped_finds_it_gone() -> None:
    found: list[list[Process]] = []
    processes = Processes(create_autospec(Loop, instance=True), lambda _: None)
    processes.on_reaped = lambda _: found.append(processes.of("sb"))
    child = os.fork()
    if child == 0:
        os._exit(1)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    failed, report = processes.expect("sb", lambda _: None, held=False, executes=True)
    os.write(report, b'{"pid": %d}\n{"error": {"errno": 2, "text": "gone", "file": null}}\n' % child)
    os.close(report)
    processes.reap()
    assert (failed.pid, found) == (child, [[]])
