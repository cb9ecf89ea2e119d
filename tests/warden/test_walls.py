"""Sandboxes with walls, made and entered by the warden, for a service that is root and for one that is a plain user."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import anyio
import pytest
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import write_connection_file

from execd.isolation.plan import Bind, Limits, Mode, Plan
from execd.warden.client import Enclosure, Warden
from execd.warden.processes import descendants
from tests.warden.conftest import alive
from tests.warden.tools import Cases, Output, ended, state, until

KERNELS = Path(__file__).parents[2] / "kernels"
WARDEN = Path(__file__).parents[2] / "execd" / "warden" / "__main__.py"
USER = 23456
SYSTEM_PYTHON = "/usr/bin/python3.11"

pytestmark = [
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="these are tests of root's service, and of one that root starts"),
]


@cache
def namespaces() -> bool:
    """Whether a plain user may make them."""
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return subprocess.run(command, user=USER, check=False, capture_output=True).returncode == 0


@asynccontextmanager
async def service(folder: Path, kind: str, python: str) -> AsyncIterator[tuple[Warden, Plan]]:
    """A warden of root's, or of a plain user's, and what a sandbox of it would be."""
    if not namespaces():
        pytest.skip("this machine allows no user namespaces")
    if kind == "plain":
        os.chown(folder, USER, USER)
        command = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", SYSTEM_PYTHON]
        await anyio.run_process(
            [*command, "-I", "-S", str(WARDEN), str(folder), "60"], stdout=subprocess.DEVNULL, stderr=None
        )
    workspace, runtime = folder / "workspace", folder / "run"
    for each in (workspace, runtime):
        each.mkdir(mode=0o700)
        os.chown(each, USER, USER)
    prefixes = {str(Path(python).parents[1]), str(Path(python).resolve().parents[1]), str(KERNELS.parent)}
    binds = [Bind(prefix, prefix) for prefix in prefixes if not prefix.startswith("/usr")]
    binds += [Bind(str(workspace), "/workspace", writable=True), Bind(str(runtime), "/run/execd", writable=True)]
    plan = Plan("sb_w", Mode.BWRAP, USER if kind == "root" else None, "/workspace", "/home/user", tuple(binds))
    warden = await Warden.reach(folder, 60)
    try:
        yield warden, plan
    finally:
        await warden.end()


@pytest.fixture(params=["root", "plain"])
async def walled(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[tuple[Warden, Enclosure]]:
    """A sandbox with walls."""
    async with service(folder, request.param, SYSTEM_PYTHON) as (warden, plan):
        enclosure = await warden.open(plan)
        yield warden, enclosure
        await enclosure.close()


async def test_a_process_is_inside(walled: tuple[Warden, Enclosure]) -> None:
    _, enclosure = walled
    script = (
        "id -u; pwd; echo $PPID; cat /proc/1/comm; ls -d /root /home/*; grep -E 'CapEff|Seccomp:' /proc/self/status"
    )
    with Cases(enclosure, "/workspace") as cases:
        how, text = await cases.run("sh", "-c", f"{script}; echo written > file; exit 3")
    assert how.code == 3
    lines = text.splitlines()
    assert lines[:4] == ["1000", "/workspace", "0", "sleep"]
    assert "/home/user" in lines
    assert [line.split()[1] for line in lines[-2:]] == ["0000000000000000", "2"]
    root = Path(f"/proc/self/fd/{enclosure.root}")
    assert (root / "workspace" / "file").read_text() == "written\n"
    assert not (root / "etc" / "shadow").exists()


async def test_errors_of_a_launch_are_those_inside(walled: tuple[Warden, Enclosure]) -> None:
    _, enclosure = walled
    with Cases(enclosure, "/workspace") as cases:
        with pytest.raises(FileNotFoundError):
            cases.start("true", cwd="/nowhere")
        with pytest.raises(FileNotFoundError):
            cases.start("no-such-program")


async def test_a_held_one_is_signalled_and_released(walled: tuple[Warden, Enclosure]) -> None:
    _, enclosure = walled
    with Cases(enclosure, "/workspace") as cases:
        started = cases.start("sleep", "1000", held=True)
        started.signal_group(SIGKILL)
        assert (await ended(started)).code == -SIGKILL
        assert state(started.pid) == "Z"
        started.release()
        assert state(started.pid) == ""


async def test_its_network_is_its_own_and_its_sockets_lead_there(walled: tuple[Warden, Enclosure]) -> None:
    _, enclosure = walled
    code = (
        "import socket,sys; s=socket.create_server(('127.0.0.1',8000)); print(1,flush=True); s.accept()[0].send(b'hi')"
    )
    with Cases(enclosure, "/workspace") as cases, Output() as output:
        started = cases.start(SYSTEM_PYTHON, "-c", code, fds={1: output.end})
        assert await output.line() == "1"
        with enclosure.socket() as made:
            made.connect(("127.0.0.1", 8000))
            assert made.recv(10) == b"hi"
        await ended(started)
    with socket.socket() as ours, pytest.raises(ConnectionRefusedError):
        ours.connect(("127.0.0.1", 8000))


async def test_freezing_holds_and_a_frozen_one_can_be_closed(walled: tuple[Warden, Enclosure]) -> None:
    _, enclosure = walled
    with Cases(enclosure, "/workspace") as cases:
        started = cases.start("sh", "-c", "while :; do :; done")
        await enclosure.freeze()
        before = Path(f"/proc/{started.pid}/stat").read_text().split()[13]
        await anyio.sleep(0.1)
        assert Path(f"/proc/{started.pid}/stat").read_text().split()[13] == before
        await enclosure.thaw()
        await until(lambda: Path(f"/proc/{started.pid}/stat").read_text().split()[13] != before)
        await enclosure.freeze()
        await enclosure.close()
        assert state(started.pid) == ""


async def test_closing_ends_everything_inside(walled: tuple[Warden, Enclosure]) -> None:
    warden, enclosure = walled
    with Cases(enclosure, "/workspace") as cases, Output() as output:
        script = "for i in 1 2 3 4 5; do setsid sh -c 'trap \"\" TERM HUP; kill -STOP $$' & done; echo on; sleep 1000"
        started = cases.start("sh", "-c", script, fds={1: output.end}, held=True)
        await output.line()
        inside = _inside(started.pid)
        await enclosure.close()
    assert len(inside) >= 2
    assert not any(map(alive, inside))
    assert enclosure.plan.id not in warden.enclosures


def _inside(pid: int) -> list[int]:
    space = Path(f"/proc/{pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if Path(entry, "ns", "pid").readlink() == space:
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _is_holder(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\0infinity\0"
    except OSError:
        return False


@pytest.mark.parametrize("when", ["before it is asked for its root", "after that was told"])
async def test_a_sandbox_that_is_lost_while_it_is_opened_is_lost_and_can_be_opened_again(
    walled: tuple[Warden, Enclosure], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warden, enclosure = walled
    await enclosure.close()
    ask = warden.ask

    async def lose() -> None:
        await until(lambda: any(map(_is_holder, descendants(warden.pid))))
        [holder] = [pid for pid in descendants(warden.pid) if _is_holder(pid)]
        os.kill(holder, SIGKILL)
        await until(lambda: not alive(holder))
        # What the warden tells of it comes before the answer to this.
        await ask({"op": "probe", "user": None, "bwrap": "bwrap"})

    async def interrupted(request: Any, fds: Any = ()) -> Any:
        if request["op"] != "root":
            return await ask(request, fds)
        if when.startswith("before"):
            await lose()
            return await ask(request, fds)
        answer = await ask(request, fds)
        await lose()
        return answer

    monkeypatch.setattr(warden, "ask", interrupted)
    try:
        made = await warden.open(enclosure.plan)
    except OSError:
        pass
    else:
        with anyio.fail_after(20):
            await made.lost.wait()
        await made.close()
    monkeypatch.undo()
    again = await warden.open(enclosure.plan)
    with Cases(again, "/workspace") as cases:
        assert (await ended(cases.start("true"))).code == 0
    await again.close()


@pytest.mark.parametrize("victim", ["holder", "warden"])
async def test_a_killed_holder_or_warden_ends_everything_inside_and_is_told(
    walled: tuple[Warden, Enclosure], victim: str, folder: Path
) -> None:
    warden, enclosure = walled
    with Cases(enclosure, "/workspace") as cases:
        started = cases.start("sh", "-c", "setsid sleep 1000 & sleep 1000; :")
        inside = _inside(started.pid)
        space_init = min(inside)
        os.kill(warden.pid if victim == "warden" else space_init, SIGKILL)
        await asyncio.wait_for(enclosure.lost.wait(), 20)
        assert (await ended(started)).code == -SIGKILL
        await until(lambda: not any(map(alive, inside)))
        with pytest.raises(OSError, match="ended"):
            cases.start("true")
    if victim == "warden":
        # The next one of this folder removes what it could not.
        await (await Warden.reach(folder, 60)).end()
    else:
        assert not warden.lost.is_set()
        await enclosure.close()
        again = await warden.open(enclosure.plan)
        await again.close()


async def test_one_that_cannot_be_made_leaves_nothing(walled: tuple[Warden, Enclosure], folder: Path) -> None:
    warden, enclosure = walled
    plan = replace(enclosure.plan, id="sb_bad", binds=(Bind(str(folder / "missing"), "/missing"),))
    with pytest.raises(OSError, match="No such file"):
        await warden.open(plan)
    assert "sb_bad" not in warden.enclosures
    good = await warden.open(replace(enclosure.plan, id="sb_bad"))
    await good.close()


async def test_limits_of_all_processes_together_hold(folder: Path) -> None:
    async with service(folder, "root", SYSTEM_PYTHON) as (warden, plan):
        controllers = (await warden.probe(USER)).controllers
        if not {"memory", "pids"} <= controllers:
            pytest.skip("no control groups here")
        enclosure = await warden.open(replace(plan, limits=Limits(memory=64 * 2**20, processes=30)))
        with Cases(enclosure, "/workspace") as cases:
            how, _ = await cases.run(SYSTEM_PYTHON, "-c", "b = bytearray(300_000_000)")
            assert how.code == -SIGKILL
            assert enclosure.oom_kills() == 1
            _, text = await cases.run("sh", "-c", "for i in $(seq 50); do sleep 100 >/dev/null 2>&1 & done; echo done")
            assert "fork" in text
        await enclosure.close()


@pytest.fixture
def kernel_python(folder: Path) -> str:
    """A Python with ipykernel that any user may run."""
    if sys.version_info[:2] != (3, 11) or not Path(SYSTEM_PYTHON).exists():
        pytest.skip("it borrows what this environment has installed")
    place = folder / "venv"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(place)], check=True)
    [packages] = (place / "lib").glob("python*/site-packages")
    borrowed = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "borrowed.pth").write_text(borrowed)
    return str(place / "bin" / "python")


@pytest.mark.parametrize("kind", ["root", "plain"])
async def test_a_forked_kernel_runs_code_inside(folder: Path, kernel_python: str, kind: str) -> None:
    async with service(folder, kind, kernel_python) as (warden, plan):
        enclosure = await warden.open(plan)
        place = folder / "run" / "k"
        place.mkdir(mode=0o700)
        connection = place / "c.json"
        info: dict[str, Any] = {"transport": "ipc", "ip": "/run/execd/k/s", "key": b"secret"}
        names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
        info |= dict(zip(names, range(1, 6), strict=True))
        write_connection_file(str(connection), **info)
        for path in (place, connection):
            os.chown(path, USER, USER)
        with Cases(enclosure, "/workspace") as cases:
            argv = (kernel_python, str(KERNELS / "python" / "kernel.py"), "-f", "/run/execd/k/c.json")
            started = await enclosure.fork_kernel(cases.launch(*argv, env={"HOME": "/home/user", "PATH": "/usr/bin"}))
            await until((place / "s-5").exists)
            client = AsyncKernelClient()
            told: Any = {**info, "ip": str(place / "s")}
            client.load_connection_info(told)
            client.start_channels()
            await client.wait_for_ready(timeout=30)
            code = "import os, numpy; x = os.getpid(), os.getuid(), os.getcwd(), open('/proc/1/comm').read()"
            reply = await client.execute_interactive(
                code, user_expressions={"x": "x"}, output_hook=lambda _: None, timeout=30
            )
            found = reply["content"]["user_expressions"]["x"]["data"]["text/plain"]
            client.stop_channels()
        assert found.endswith(", 1000, '/workspace', 'sleep\\n')")
        await enclosure.close()
        assert started.exit is not None


async def test_a_sandbox_that_is_lost_while_a_kernel_is_on_its_way_into_it_is_closed(
    folder: Path, kernel_python: str
) -> None:
    async with service(folder, "root", kernel_python) as (warden, plan):
        enclosure = await warden.open(plan)
        argv = (kernel_python, str(KERNELS / "python" / "kernel.py"), "-f", "/run/execd/k/c.json")
        await warden.prepare(argv)
        await until(lambda: with_words(warden.pid, b"zygote.py"))
        [zygote] = with_words(warden.pid, b"zygote.py")
        os.kill(zygote, SIGSTOP)
        refused: list[OSError] = []

        async def fork() -> None:
            with Cases(enclosure, "/workspace") as cases:
                try:
                    await enclosure.fork_kernel(cases.launch(*argv, env={}))
                except OSError as error:
                    refused.append(error)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fork)
                await anyio.wait_all_tasks_blocked()
                # Answered after the zygote was asked.
                [holder] = with_words(warden.pid, b"sleep\0infinity")
                assert await enclosure.members() == []
                os.kill(holder, SIGKILL)
                await enclosure.lost.wait()
                tasks.start_soon(enclosure.close)
                await anyio.wait_all_tasks_blocked()
                os.kill(zygote, SIGCONT)
        assert len(refused) == 1
        assert warden.enclosures == {}


def with_words(warden: int, words: bytes) -> list[int]:
    """The processes below the warden that have this in their command line, but for bubblewrap around them."""
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in descendants(warden)}
    return [pid for pid, line in lines.items() if words in line and b"bwrap" not in line]
