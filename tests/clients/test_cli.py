"""OpenSandbox's command line, `osb`, with the service as its sandbox."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.environments import python_environment
from tests.inside import Inside
from tests.live.waiting import eventually

Osb = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def osb(domain: str, tmp_path_factory: pytest.TempPathFactory) -> Osb:
    """Runs osb to its end. Its home is empty, so no configuration of the user's counts."""
    program = python_environment("clients-cli") / "osb"
    environment = {**os.environ, "HOME": str(tmp_path_factory.mktemp("cli"))}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [str(program), "--no-color", "--domain", domain, *arguments]
        return subprocess.run(argv, env=environment, check=False, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def sandbox_id(osb: Osb) -> str:
    """A sandbox made by osb."""
    return str(told(osb("sandbox", "create", "--image", "any", "-o", "json"))["id"])


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON that it printed."""
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_command_that_succeeds(osb: Osb, sandbox_id: str) -> None:
    done = osb("command", "run", sandbox_id, "--", "echo", "a  b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a  b\n", "")


def test_a_command_that_fails(osb: Osb, sandbox_id: str) -> None:
    done = osb("command", "run", sandbox_id, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (1, "out\n")
    assert "err" in done.stderr
    assert "CommandExecError: 3" in done.stderr


def test_argv_is_taken_literally(osb: Osb, sandbox_id: str) -> None:
    done = osb("command", "run", "--argv", sandbox_id, "--", "echo", "$HOME", "a  b", "*")
    assert (done.returncode, done.stdout) == (0, "$HOME a  b *\n")


def test_in_a_folder(osb: Osb, sandbox_id: str) -> None:
    assert osb("command", "run", "-w", "/home/user", sandbox_id, "--", "pwd").stdout == "/home/user\n"
    assert "there is none" in osb("command", "run", "-w", "/no/such/folder", sandbox_id, "--", "pwd").stderr


def test_a_time_limit(osb: Osb, sandbox_id: str) -> None:
    done = osb("command", "run", "-t", "1s", sandbox_id, "--", "sleep", "600")
    assert done.returncode == 1
    assert "CommandExecError: -1" in done.stderr


def test_one_in_the_background(osb: Osb, sandbox_id: str) -> None:
    line = ("sh", "-c", "echo begun; exec sleep 600")
    command_id = told(osb("command", "run", "-d", "-o", "json", sandbox_id, "--", *line))["execution_id"]
    assert told(osb("command", "status", sandbox_id, command_id, "-o", "json"))["running"] is True
    log = ("command", "logs", sandbox_id, command_id, "-o", "json")
    eventually(lambda: told(osb(*log)) == {"content": "begun\n", "cursor": 6})
    assert osb("command", "interrupt", sandbox_id, command_id).returncode == 0
    status = told(osb("command", "status", sandbox_id, command_id, "-o", "json"))
    assert (status["running"], status["exit_code"]) == (False, -1)
    again = osb("command", "interrupt", sandbox_id, command_id)
    assert again.returncode == 1
    assert "ended already" in again.stderr


def test_a_bash_session(osb: Osb, sandbox_id: str) -> None:
    session_id = told(osb("command", "session", "create", sandbox_id, "-o", "json"))["session_id"]
    assert osb("command", "session", "run", sandbox_id, session_id, "--", "export", "A=kept").returncode == 0
    done = osb("command", "session", "run", sandbox_id, session_id, "--", "printenv", "A")
    assert (done.returncode, done.stdout) == (0, "kept\n")
    assert osb("command", "session", "delete", sandbox_id, session_id).returncode == 0


def test_a_file_s_life(osb: Osb, sandbox_id: str, client: httpx.Client, tmp_path: Path) -> None:
    inside = Inside(client, sandbox_id)

    def file(command: str, *arguments: str) -> str:
        done = osb("file", command, sandbox_id, *arguments)
        assert done.returncode == 0, done
        return done.stdout

    local, path = tmp_path / "local", "/workspace/below/one.txt"
    local.write_bytes(bytes(range(256)) * 100)
    file("write", path, "--content", "one ü\n", "--mode", "0640")
    assert inside.mode(path) == 0o640
    file("replace", path, "--old", "one", "--new", "two")
    assert file("cat", path) == "two ü\n"
    file("upload", str(local), f"{path}.bin")
    file("download", f"{path}.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    assert f"{path}.bin" in file("search", "/workspace", "--pattern", "*.bin", "-o", "json")
    file("rm", path, f"{path}.bin")
    assert inside.names("/workspace/below") == []
