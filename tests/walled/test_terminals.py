"""Terminals in a sandbox with walls are terminals of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import httpx
import pytest

from tests.inside import Inside
from tests.live.terminal_client import TerminalClient, new_terminal
from tests.running_service import RunningService

PROMPT = rb"\$ "


@pytest.fixture
def terminal(client: httpx.Client) -> Iterator[str]:
    """A new terminal."""
    made = new_terminal(client)
    yield made
    client.delete(f"/pty/{made}")


def test_it_has_a_name_and_job_control(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type("tty; test -c $(tty) && test -w $(tty) && stat -c %U $(tty)\n")
        shell.until(rb"[\r\n]/dev/pts/\d+\r\nuser\r\n.*" + PROMPT)
        shell.type("sh -c 'echo u\"\"p; exec sleep 600'\n")
        shell.until(rb"up\r\n")
        shell.type("\x1a")
        shell.until(rb"Stopped.*" + PROMPT)
        shell.type("kill %1; wait; echo st''atus=$?\n")
        shell.until(rb"status=\d+")


def test_python_in_it(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type("PYTHON_BASIC_REPL=1 python -q\n")
        shell.until(rb">>> ")
        shell.type("import os, numpy; os.ttyname(0), numpy.int8(42) + 0\n")
        shell.until(rb"'/dev/pts/\d+', .*42")
        shell.type("exit()\n")
        shell.until(PROMPT)


@pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
def test_vim(service: RunningService, terminal: str, inside: Inside) -> None:
    with inside.new_folder() as folder, TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type(f"vim -u NONE -i NONE -n {folder}/text\n")
        shell.until(rb"\x1b\[\?1049h.*text")
        shell.say(type="resize", cols=100, rows=30)
        shell.type("ihello from vim\x1b")
        shell.until(rb"hello from vim")
        shell.type(":wq\r")
        shell.until(rb"\x1b\[\?1049l.*" + PROMPT)
        assert inside.read(f"{folder}/text") == b"hello from vim\n"


@pytest.mark.skipif(shutil.which("top") is None, reason="top is not installed")
def test_top_shows_the_sandbox_alone(service: RunningService, terminal: str) -> None:
    with TerminalClient(service, terminal) as shell:
        shell.until(PROMPT)
        shell.type("top -b -n 1 | grep -c root; echo do''ne\n")
        shell.until(rb"0\r\ndone")
        shell.type("top\n")
        shell.until(rb"load average.*PID")
        shell.type("q")
        shell.until(PROMPT)
