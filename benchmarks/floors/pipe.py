"""A command and a reader of its pipe: what it costs without any of us."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence

_READ = 256 * 1024


def pipe(code: str) -> tuple[float, int]:
    """The seconds until the output of a new Python process has ended, and the bytes of it."""
    return command_pipe([sys.executable, "-c", code])


def command_pipe(argv: Sequence[str]) -> tuple[float, int]:
    """The seconds until the output of a new process has ended, and the bytes of it."""
    size = 0
    started = time.perf_counter()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        while chunk := os.read(process.stdout.fileno(), _READ):
            size += len(chunk)
        seconds = time.perf_counter() - started
    return seconds, size
