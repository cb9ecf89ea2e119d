"""Talking to a client that runs in a process of its own: a line of JSON there, a line of JSON back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Dialogue:
    """A conversation with such a process; what it complains about is in `complaints`."""

    def __init__(self, process: subprocess.Popen[str], complaints: Path) -> None:
        self._process = process
        self._complaints = complaints

    def hear(self) -> Any:
        """The next answer. Fails when the process has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"no answer: {self._complaints.read_text()}"
        return json.loads(line)

    def ask(self, *call: Any) -> Any:
        """Send a call and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        return self.hear()


@contextmanager
def dialogue(folder: Path, *argv: str) -> Iterator[Dialogue]:
    """A conversation with a program; the end of its input must end it."""
    complaints = folder / "stderr"
    # Its home is empty: no configuration of the user's counts.
    environment = {**os.environ, "HOME": str(folder)}
    with complaints.open("w") as stderr:
        process = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    try:
        yield Dialogue(process, complaints)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
