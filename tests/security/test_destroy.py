"""Destroying sandboxes leaves nothing, whatever ran in them."""

from __future__ import annotations

import os
import time
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from execd.store.engine import FILE
from tests.isolation.eventually import eventually
from tests.security.houses import House, Sandbox
from tests.security.test_sudden_ends import inside

# Processes that nothing but force ends: in sessions of their own, orphaned, stopped, deaf to signals.
HOSTILE = """
import os, signal, time
for number in range(200):
    if os.fork() == 0:
        os.setsid()
        if os.fork() and number % 2:
            os._exit(0)
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, signal.SIG_IGN)
        os.environ.clear()
        if number % 3 == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(1000)
        os._exit(0)
print("ready", flush=True)
time.sleep(1000)
"""
_SECONDS = 12
_ROUNDS = 40


def counts(house: House) -> dict[str, int]:
    """What could be left over: descriptors of the service and the warden, mounts, control groups, folders."""
    service, warden = house.service.process.pid, house.warden
    found = {f"fds of {pid}": len(_open(pid)) for pid in (service, warden)}
    found |= {f"mounts of {pid}": len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()) for pid in (1, warden)}
    found["processes"] = len(inside(house))
    prefix = f"execd-{zlib.crc32(str(house.service.data_dir / 'warden').encode()):08x}-"
    found["control groups"] = sum(prefix in line for line in _walk(Path("/sys/fs/cgroup")))
    found["folders"] = len(list((house.service.data_dir / "sandboxes").iterdir()))
    found["sockets"] = len(list((house.service.data_dir / "runtime").iterdir()))
    return found


def _open(pid: int) -> list[str]:
    """What it has open, but for the database: the store keeps as many connections as were ever wanted at once."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(entry.readlink()))
    return [target for target in found if FILE not in target]


def _walk(folder: Path) -> list[str]:
    return [name for _, names, _ in os.walk(folder) for name in names]


def test_of_many_hostile_processes(walled: House) -> None:
    small = str(walled.kind) == "landlock-plain"
    made = walled.new_sandbox(memory_mb=2048)
    made.printed("1")
    before = inside(walled)
    with made.client() as client:
        code = HOSTILE.replace("200", "100") if small else HOSTILE.replace("200", "120")
        (made.workspace / "hostile.py").write_text(code)
        (made.workspace / "hostile.py").chmod(0o644)
        client.post("/command", json={"command": "exec python3 hostile.py", "background": True}).raise_for_status()
    eventually(lambda: len(inside(walled) - before) > 90)
    there = inside(walled) - before
    made.delete()
    eventually(lambda: not there & inside(walled))


@pytest.mark.timeout(300)
def test_rounds_leave_nothing(walled: House) -> None:
    """As many as there is time for, at least a few; see _SECONDS."""
    _round(walled)
    before, end, rounds = counts(walled), time.monotonic() + _SECONDS, 0
    while rounds < _ROUNDS and (rounds < 3 or time.monotonic() < end):
        _round(walled)
        rounds += 1
    try:
        eventually(lambda: counts(walled) == before)
    except AssertionError:
        raise AssertionError(
            f"{rounds} rounds: {before} became {counts(walled)}: {_open(walled.service.process.pid)}"
        ) from None


def _round(walled: House) -> None:
    made: Sandbox = walled.new_sandbox()
    assert made.printed("import subprocess; subprocess.Popen(['sleep', '1000']); print(1)") == "1\n"
    made.said("setsid sleep 1000 & mkfifo fifo; mkdir -p a/b; chmod 000 a")
    made.delete()
