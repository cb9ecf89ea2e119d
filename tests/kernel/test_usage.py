"""What processes use."""

from __future__ import annotations

import os
import subprocess
import sys

from execd.kernel.usage import Usage

PARENT = """
import subprocess, sys
held = bytearray(b"x") * (8 * 1024 * 1024)
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdin=subprocess.PIPE, stdout=sys.stdout)
sys.stdin.read()
child.stdin.close()
child.wait()
"""
CHILD = """
import sys
held = bytearray(b"x") * (64 * 1024 * 1024)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_tree_of_processes_is_added_up() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(child=CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        used = Usage.of(process.pid)
        process.communicate()
    assert used is not None
    assert used.memory_bytes > 72 * 1024 * 1024
    assert used.cpu_seconds > 0
    assert Usage.of(process.pid) is None


def test_what_does_not_run_uses_nothing() -> None:
    assert Usage.of(None) is None
    assert Usage.of(os.getpid()) is not None
