"""bubblewrap, with nothing of ours around it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.errors import NotMeasured


def walls(folder: Path) -> list[str]:
    """What to put in front of a command that may write in this folder alone. Raises NotMeasured."""
    program = shutil.which("bwrap")
    if program is None:
        raise NotMeasured("bubblewrap is not installed: apt-get install bubblewrap")
    place = str(folder)
    writable = ["--bind", place, place, "--tmpfs", "/dev/shm", "--setenv", "TMPDIR", place, "--setenv", "HOME", place]
    # In a pid namespace of its own it has no parent of that number, and would end.
    orphan = ["--unshare-all", "--unsetenv", "JPY_PARENT_PID"]
    return [program, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *writable, *orphan]


def killed(folder: Path, script: str) -> float:
    """The seconds that it takes to end what this script has started, once it has printed a line."""
    command = [*walls(folder), "--die-with-parent", "bash", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        started = time.perf_counter()
        os.killpg(process.pid, signal.SIGKILL)
        # Each of them has the pipe: it ends with the last.
        process.stdout.read()
        process.wait()
        return time.perf_counter() - started
