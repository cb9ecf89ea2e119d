"""Limits that the operator sets, through the whole service: what hitting each is like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running_service import RunningService, running_service
from tests.walled.sandbox import Walled, walled

MIB = 2**20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One with every limit set."""
    with running_service(
        tmp_path_factory.mktemp("limits"),
        isolation="bwrap",
        sandbox_memory=300 * MIB,
        sandbox_cpus=0.5,
        sandbox_processes=80,
        sandbox_open_files=100,
        sandbox_file_size=10 * MIB,
        sandbox_tmp_size=20 * MIB,
    ) as running:
        yield running


@pytest.fixture
def sandbox(service: RunningService) -> Iterator[Walled]:
    """One that asks for more than there is."""
    with walled(service, memory_mb=100_000, vcpus=64) as made:
        yield made


def test_memory(sandbox: Walled) -> None:
    ended = sandbox.sh('python -c "b = bytearray(600 * 2**20)"')
    assert ended.code != 0
    sandbox.python("b = bytearray(600 * 2**20)\nprint('all of it')")
    assert sandbox.sh("echo lives").out == "lives\n"
    assert sandbox.python("print('again')") == "again\n" or sandbox.python("print('again')") == "again\n"


def test_memory_of_all_together(sandbox: Walled) -> None:
    hog = 'python -c "import time; b = bytearray(150 * 2**20); time.sleep(5)"'
    ended = sandbox.sh(
        f"{hog} & a=$!; {hog} & b=$!; {hog} & c=$!; wait $a; echo $?; wait $b; echo $?; wait $c; echo $?"
    )
    assert "137" in ended.out.split()


def test_cpu(sandbox: Walled) -> None:
    burn = "import time; e = time.monotonic() + 2\nwhile time.monotonic() < e: pass"
    line = f'python -c "{burn}" & python -c "{burn}" & wait; times'
    children = sandbox.sh(line).out.split()[-2:]
    assert sum(_seconds(part) for part in children) < 1.9


def test_threads(sandbox: Walled) -> None:
    code = (
        "import threading, time\n"
        "try:\n    for n in range(200): threading.Thread(target=time.sleep, args=[30]).start()\n"
        "except RuntimeError as error: print(error)"
    )
    assert "can't start new thread" in sandbox.python(code)


def test_processes_of_commands(sandbox: Walled) -> None:
    bomb = sandbox.sh("for i in $(seq 200); do sleep 20 & done; wait", timeout=50)
    assert "Resource temporarily unavailable" in bomb.err


def test_open_files(sandbox: Walled) -> None:
    assert sandbox.sh("ulimit -n; ulimit -Hn").out.split() == ["100", "100"]
    assert "Too many open files" in sandbox.python("fs = [open('/dev/null') for _ in range(200)]")


def test_file_size(sandbox: Walled) -> None:
    code = "f = open('/workspace/big', 'wb')\nfor _ in range(20): f.write(bytes(2**20))\n"
    assert "File too large" in sandbox.python(code)
    assert int(sandbox.sh("stat -c %s /workspace/big").out) <= 10 * MIB


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_tmp_size(sandbox: Walled, folder: str) -> None:
    line = f"for i in 1 2 3; do head -c 9000000 /dev/zero > {folder}/$i || exit 1; done"
    ended = sandbox.sh(line)
    assert ended.code == 1
    assert "No space left on device" in ended.err


def _seconds(text: str) -> float:
    minutes, _, seconds = text.rstrip("s").partition("m")
    return int(minutes) * 60 + float(seconds)
