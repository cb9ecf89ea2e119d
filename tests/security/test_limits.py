"""Limits of a sandbox are reported as what they are, and hurt nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.reading import end_of, of_type
from tests.security.houses import House, Sandbox

HOG = "x = bytearray(2**30)"
BOMB = """
import os, time
made = []
try:
    while True:
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        made.append(pid)
except OSError as error:
    print(type(error).__name__, error.strerror)
for pid in made:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
print("made", len(made))
"""


@pytest.fixture
def neighbour(walled: House) -> Iterator[Sandbox]:
    """Another sandbox, which must not notice anything."""
    made = walled.new_sandbox()
    made.printed("here = 'still here'")
    yield made
    assert made.printed("print(here)") == "still here\n"
    made.delete()


@pytest.fixture
def small(walled: House, neighbour: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of 256 MiB."""
    made = walled.new_sandbox(memory_mb=256)
    yield made
    made.delete()


def grouped(house: House) -> bool:
    """Whether a control group holds what all processes of a sandbox use."""
    return not house.kind.plain


class TestMemory:
    def test_of_a_kernel(self, walled: House, small: Sandbox) -> None:
        events = small.run(f"print('begun', flush=True)\n{HOG}")
        [error] = of_type(events, "error")
        if grouped(walled):
            assert end_of(events) == ("failed", "oom")
            assert error["error"]["ename"] == "OutOfMemory"
            assert "no memory left" in error["error"]["evalue"]
            assert of_type(small.run("1"), "context_restarted")
        else:
            assert end_of(events) == ("failed", "error")
            assert error["error"]["ename"] == "MemoryError"

    @pytest.mark.parametrize("line", ["exec python3 -c '{}'", "python3 -c '{}'; exit $?"])
    def test_of_a_command(self, walled: House, small: Sandbox, line: str) -> None:
        events = small.command(line.format(HOG))
        assert events[-1]["type"] == "error", events
        if grouped(walled):
            assert "no memory left" in events[-1]["error"]["traceback"][0]
        else:
            assert "MemoryError" in "".join(event.get("text", "") for event in events)
        assert small.said("echo still here") == "still here"

    def test_of_a_kernels_child(self, walled: House, small: Sandbox) -> None:
        small.printed("kept = 1")
        code = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {HOG!r}]).returncode, kept)"
        assert small.printed(code) == ("-9 1\n" if grouped(walled) else "1 1\n")

    def test_somebody_elses_signal_is_not_taken_for_it(self, small: Sandbox) -> None:
        small.printed(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOG!r}])")
        small.said("true")
        assert end_of(small.run("import os; os.kill(os.getpid(), 9)")) == ("failed", "kernel_died")

    def test_of_temporary_files(self, walled: House, small: Sandbox) -> None:
        if walled.kind.mode != "bwrap":
            pytest.skip("temporary files are in the home, where nothing but the disk bounds them")
        assert "No space left on device" in small.said("head -c 200M /dev/zero > /tmp/file; rm /tmp/file")
        code = "with open('/dev/shm/x', 'wb', 0) as file:\n    while True: file.write(bytes(2**20))"
        assert "No space left on device" in str(small.run(code))


class TestCounts:
    def test_processes(self, walled: House, neighbour: Sandbox) -> None:
        if str(walled.kind) == "landlock-plain":
            pytest.skip("the service's user is the sandbox's: there is no count of its own")
        bombed = walled.new_sandbox(memory_mb=2048)
        told = bombed.printed(BOMB)
        assert told.startswith("BlockingIOError Resource temporarily unavailable")
        assert "BlockingIOError" in bombed.said(f"python3 - <<'E'\n{BOMB}\nE")
        bombed.delete()

    def test_open_files(self, sandbox: Sandbox) -> None:
        code = "import os\ntry:\n    while True: os.dup(0)\nexcept OSError as error: print(error)"
        assert "Too many open files" in sandbox.said(f"python3 - <<'E'\n{code}\nE")

    def test_size_of_a_file(self, sandbox: Sandbox) -> None:
        assert "File size limit exceeded" in sandbox.said("head -c 100M /dev/zero > big; rm big")
        code = "try:\n    open('big', 'wb', 0).truncate(2**27)\nexcept OSError as error:\n    print(error)"
        assert "File too large" in sandbox.printed(code)
