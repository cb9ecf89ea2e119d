"""Processes that the warden starts: what they get, and what is told of their end."""

from __future__ import annotations

import errno
import os
import pty
import sys
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGTERM

import anyio
import pytest

from execd.isolation.plan import Limits, Mode, Plan
from execd.warden.client import Enclosure, Warden
from tests.warden.tools import Cases, Output, ended, state, until

LOOK = """
import os, signal, sys
print(sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")))
print(os.getsid(0) == os.getpid() == os.getpgid(0), os.getppid(), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("SigIgn")], dict(os.environ))
"""


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", -15), ("kill -9 $$", -9)])
async def test_the_end_is_told_as_it_was(cases: Cases, script: str, code: int) -> None:
    how, _ = await cases.run("sh", "-c", script)
    assert how.code == code


async def test_what_a_process_and_its_children_used_is_told(cases: Cases) -> None:
    code = "import os\nb = bytearray(80_000_000)\nif os.fork() == 0:\n  while os.times()[0] < .2: pass\n  os._exit(0)"
    how, _ = await cases.run(sys.executable, "-c", f"{code}\nos.wait()")
    assert how.cpu_seconds is not None
    assert how.cpu_seconds > 0.2
    assert how.peak_memory is not None
    assert 80_000_000 < how.peak_memory < 200_000_000


async def test_a_small_process_is_not_charged_with_the_wardens_memory(cases: Cases) -> None:
    how, _ = await cases.run("true")
    assert how.peak_memory is None or how.peak_memory < 5_000_000


async def test_a_process_gets_its_environment_and_descriptors_and_no_others(
    cases: Cases, warden: Warden, tmp_path: Path
) -> None:
    with Output() as output:
        secret = os.open("/etc/hostname", os.O_RDONLY)
        os.set_inheritable(secret, True)
        fds = {1: output.end, 2: output.end, 7: cases.nothing, 240: cases.nothing}
        started = cases.start(sys.executable, "-I", "-S", "-c", LOOK, fds=fds, env={"ONLY": "this"})
        os.close(secret)
        await ended(started)
        descriptors, leads, ignored = (await output.text()).splitlines()
    assert descriptors == "[0, 1, 2, 7, 240]"
    assert leads == f"True {warden.pid} set()"
    numbers, environment = ignored.split(" ", 1)
    # Those that Python itself ignores; and two that are glibc's own, where its posix_spawn started the warden (3.13).
    assert int(numbers.strip("[']"), 16) & ~0x180000000 == 0x1001000
    assert environment == "{'ONLY': 'this', 'LC_CTYPE': 'C.UTF-8'}"


async def test_descriptors_may_be_passed_under_each_others_numbers(cases: Cases) -> None:
    reads, writes = zip(*(os.pipe() for _ in range(4)), strict=True)
    order = [writes[2], writes[3], writes[0], writes[1]]
    started = cases.start(
        "sh", "-c", "for fd in 3 4 5 6; do echo $fd >&$fd; done", fds=dict(zip((3, 4, 5, 6), order, strict=True))
    )
    await ended(started)
    assert [os.read(reads[at], 10) for at in (2, 3, 0, 1)] == [b"3\n", b"4\n", b"5\n", b"6\n"]
    for fd in (*reads, *writes):
        os.close(fd)


@pytest.mark.parametrize(
    ("argv", "options", "number", "name"),
    [
        (("no-such-program",), {}, errno.ENOENT, "no-such-program"),
        (("/etc/hostname",), {}, errno.EACCES, "/etc/hostname"),
        (("true",), {"cwd": "/nowhere"}, errno.ENOENT, "/nowhere"),
        (("true",), {"env": {"PATH": "/usr/bin", "BIG": "x" * 300_000}}, errno.E2BIG, "true"),
    ],
)
async def test_a_program_that_cannot_run_is_an_error_with_the_machines_number(
    cases: Cases, argv: tuple[str, ...], options: dict[str, object], number: int, name: str
) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
        cases.start(*argv, **options)
    assert (caught.value.errno, caught.value.filename) == (number, name)
    assert (await cases.run("echo", "still there"))[1] == "still there\n"


async def test_a_large_environment_arrives(cases: Cases) -> None:
    env = {"PATH": "/usr/bin:/bin"} | {f"V{number}": "x" * 100_000 for number in range(15)}
    _, text = await cases.run("sh", "-c", "printf %s $V1 $V14 | wc -c", env=env)
    assert text.strip() == "200000"


async def test_a_held_process_keeps_its_number_until_it_is_released(cases: Cases, warden: Warden) -> None:
    started = cases.start("sleep", "1000", held=True)
    started.signal(SIGTERM)
    assert (await ended(started)).code == -SIGTERM
    assert state(started.pid) == "Z"
    started.release()
    started.release()
    assert state(started.pid) == ""


async def test_one_that_is_released_before_its_end_is_not_kept(cases: Cases) -> None:
    started = cases.start("sleep", "1000", held=True)
    started.release()
    started.signal(SIGKILL)
    await ended(started)
    assert state(started.pid) == ""


async def test_signals_go_to_one_or_to_the_group(cases: Cases) -> None:
    with Output() as output:
        child = 'trap "echo child; exit" INT; echo on; while :; do sleep .01; done'
        script = f"trap 'echo leader' INT; sh -c '{child}'; wait"
        started = cases.start("sh", "-c", script, fds={1: output.end})
        assert await output.line() == "on"
        started.signal_group(SIGINT)
        assert {await output.line(), await output.line()} == {"leader", "child"}
        await ended(started)
    started.signal(SIGKILL)
    started.signal_group(SIGKILL)


async def test_the_group_of_a_held_one_can_be_killed_after_its_end(cases: Cases) -> None:
    with Output() as output:
        started = cases.start("sh", "-c", "sleep 1000 & echo $!", held=True, fds={1: output.end})
        child = int(await output.line())
        await ended(started)
        started.signal_group(SIGKILL)
        started.release()
        await until(lambda: state(child) == "")


async def test_a_terminal_is_the_controlling_one(cases: Cases) -> None:
    ours, theirs = pty.openpty()
    fds = dict.fromkeys(range(3), theirs)
    started = cases.start("sh", "-c", "tty; ps -o tty= -p $$; exec cat /dev/tty", fds=fds, terminal=True)
    name = os.ttyname(theirs)
    os.close(theirs)
    seen = ""
    while seen.count("\n") < 2:
        seen += (await anyio.to_thread.run_sync(os.read, ours, 1000)).decode()
    assert seen.split() == [name, name.removeprefix("/dev/")]
    os.write(ours, b"\x03")
    assert (await ended(started)).code == -SIGINT
    os.close(ours)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")
async def test_a_process_may_be_another_user(cases: Cases) -> None:
    _, text = await cases.run("sh", "-c", "id -u; id -g; id -G; grep CapEff /proc/self/status", uid=65534, cwd="/")
    user, group, groups, capabilities = text.splitlines()
    assert (user, group, groups) == ("65534", "65534", "65534")
    assert int(capabilities.split()[1], 16) == 0


async def test_many_may_be_started_at_once(cases: Cases) -> None:
    def start(number: int) -> tuple[int, object]:
        return number, cases.start("sh", "-c", f"exit {number}")

    started = [await anyio.to_thread.run_sync(start, number) for number in range(10)]
    found: dict[int, int] = {}

    async def run(number: int) -> None:
        child = await anyio.to_thread.run_sync(cases.start, "sh", "-c", f"exit {number}")
        found[number] = (await ended(child)).code

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(run, number)
    assert found == {number: number for number in range(40)}
    for number, child in started:
        assert (await ended(child)).code == number  # type: ignore[arg-type]


async def test_closing_ends_everything_in_a_sandbox_and_nothing_else(warden: Warden, tmp_path: Path) -> None:
    one, other = [await warden.open(_plan(name, tmp_path)) for name in ("sb_1", "sb_2")]
    with Cases(one, "/") as inside, Cases(other, "/") as outside, Output() as output:
        kept = outside.start("sleep", "1000")
        script = "trap '' TERM; (trap '' HUP; sleep 1000 & echo $!); sh -c 'kill -STOP $$' & echo $!; sleep 1000"
        leader = inside.start("sh", "-c", script, fds={1: output.end}, held=True)
        orphan, stopped = int(await output.line()), int(await output.line())
        await one.close()
        await one.close()
        assert [state(pid) for pid in (leader.pid, orphan, stopped)] == ["", "", ""]
        assert leader.exit is not None
        assert kept.exit is None
        with pytest.raises(ProcessLookupError):
            inside.start("true")
    await other.close()
    assert warden.enclosures == {}


async def test_freezing_stops_and_thawing_goes_on(enclosure: Enclosure, cases: Cases) -> None:
    started = cases.start("sleep", "1000")
    await until(lambda: state(started.pid) == "S")
    await enclosure.freeze()
    await until(lambda: state(started.pid) == "T")
    await enclosure.thaw()
    await until(lambda: state(started.pid) == "S")
    started.signal(SIGCONT)


async def test_limits_hold_without_walls(warden: Warden, tmp_path: Path) -> None:
    limits = Limits(open_files=50, file_size=1000)
    enclosure = await warden.open(Plan("sb_l", Mode.PROCESS, None, "/", "/", limits=limits))
    with Cases(enclosure, str(tmp_path)) as cases:
        _, text = await cases.run("sh", "-c", "ulimit -n; ulimit -f")
    assert text.split() == ["50", "1"]
    await enclosure.close()


async def test_a_second_sandbox_of_the_same_name_is_refused(warden: Warden, tmp_path: Path) -> None:
    enclosure = await warden.open(_plan("sb_1", tmp_path))
    with pytest.raises(FileExistsError):
        await warden.open(_plan("sb_1", tmp_path))
    await enclosure.close()


def _plan(name: str, folder: Path) -> Plan:
    return Plan(name, Mode.PROCESS, None, str(folder), str(folder))
