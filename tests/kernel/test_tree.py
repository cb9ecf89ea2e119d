"""Finding a process's descendants again, wherever they went."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from execd.kernel import tree
from execd.kernel.tree import MARKER, kill_marked
from tests.live.waiting import eventually

SLEEP = "import sys, time; print(flush=True); time.sleep(600)"


@contextmanager
def marked(mark: str, code: str = SLEEP) -> Iterator[subprocess.Popen[bytes]]:
    """A process with this mark that has said that it runs; it is gone after the block."""
    environment = {**os.environ, MARKER: mark}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.fixture
def mark() -> str:
    """A mark that nobody else has."""
    return uuid.uuid4().hex


def test_those_with_the_mark_end_and_no_others(mark: str) -> None:
    with marked(f"{mark}-1") as one, marked(f"{mark}-2") as other:
        kill_marked(f"{mark}-1")
        assert one.wait() == -9
        assert other.poll() is None


def test_the_beginning_of_a_mark_stands_for_all(mark: str) -> None:
    with marked(f"{mark}-1") as one, marked(f"{mark}-2") as other:
        kill_marked(f"{mark}-")
        assert (one.wait(), other.wait()) == (-9, -9)


def test_a_mark_elsewhere_in_the_environment_does_not_count(mark: str) -> None:
    environment = {**os.environ, "OTHER": f"{MARKER}={mark}", f"X{MARKER}": mark}
    with subprocess.Popen(["sleep", "600"], env=environment) as process:
        try:
            kill_marked(mark)
            assert process.poll() is None
        finally:
            process.kill()


RESTARTING = """
import os, time
print(flush=True)
while True:
    child = os.fork()
    if not child:
        os.setsid()
        time.sleep(600)
    os.waitpid(child, 0)
"""


def test_a_supervisor_and_what_it_restarts_end_together(mark: str) -> None:
    with marked(mark, RESTARTING) as supervisor:
        kill_marked(mark)
        assert supervisor.wait() == -9
        eventually(lambda: not any(_has_mark(process, mark) for process in psutil.process_iter()))


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARKER) == mark
    except psutil.Error:
        return False


def test_one_that_executes_a_program_while_it_is_looked_at_again_is_not_let_go(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with marked(mark) as process:
        looks = iter(range(1000))
        read = tree._read

        def between_programs(pid: int, what: str) -> bytes | None:
            odd = pid == process.pid and what == "environ" and next(looks) % 2
            return b"" if odd else read(pid, what)

        monkeypatch.setattr(tree, "_read", between_programs)
        kill_marked(mark)
        assert process.wait(30) == -9
