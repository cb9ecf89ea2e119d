"""What hostile code reaches in a whole service: from a kernel, a command, a bash session and a terminal, in every mode
that the machine allows, of a service that is root's and of one that is a plain user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.isolation.attempts import SUCCEEDED, Outside
from tests.live.reading import Stream, without_pings
from tests.live.terminal_client import TerminalClient, new_terminal
from tests.security.houses import House, Sandbox
from tests.security.probing import MARK, found_in, outside, program

# What a mode does not cover; guarantees.py says so, too.
OPEN = {"bwrap": {"listen on a port"}, "landlock": {"see the service", "connect to a socket"}}
UNCERTAIN = {"signal everybody"}
"""Succeeds where there is anybody whom one may signal, oneself not counted."""
_FILE = "attempts.py"


@pytest.fixture
def there(walled: House) -> Iterator[Outside]:
    """What there is outside."""
    other = walled.new_sandbox()
    with outside(walled, other) as found:
        yield found
    other.delete()


def by_kernel(sandbox: Sandbox) -> str:
    return sandbox.printed(f"exec(open({_FILE!r}).read())")


def by_command(sandbox: Sandbox) -> str:
    return sandbox.said(f"python3 {_FILE}")


def by_session(sandbox: Sandbox) -> str:
    with sandbox.client() as client:
        session = client.post("/session", json={}).raise_for_status().json()["session_id"]
        with client.stream("POST", f"/session/{session}/run", json={"command": f"python3 {_FILE}"}) as answer:
            events = without_pings(Stream(answer).rest())
    return "\n".join(event["text"] for event in events if event["type"] in ("stdout", "stderr"))


def by_terminal(sandbox: Sandbox) -> str:
    with sandbox.client() as client:
        terminal = new_terminal(client, cwd=sandbox.cwd)
    with TerminalClient(sandbox.house.service, terminal, base=sandbox.base) as screen:
        screen.type(f"stty -echo cols 60000; python3 {_FILE}; echo do''ne\n")
        return screen.until(MARK.encode() + rb".*done").group().decode()


WAYS: dict[str, Callable[[Sandbox], str]] = {
    "kernel": by_kernel,
    "command": by_command,
    "session": by_session,
    "terminal": by_terminal,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_reached(walled: House, sandbox: Sandbox, there: Outside, way: str) -> None:
    (sandbox.workspace / _FILE).write_text(program(there, sandbox.cwd))
    (sandbox.workspace / _FILE).chmod(0o644)
    found = found_in(WAYS[way](sandbox))
    reached = {name for name, outcome in found.items() if outcome == SUCCEEDED}
    assert reached - UNCERTAIN == OPEN[walled.kind.mode], found


@pytest.mark.parametrize("way", WAYS)
def test_no_power_is_left(sandbox: Sandbox, way: str) -> None:
    (sandbox.workspace / _FILE).write_text(
        f"import json\nfound = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        f"print({MARK!r} + json.dumps({{name: value.strip() for name, value in found.items()}}))\n"
    )
    (sandbox.workspace / _FILE).chmod(0o644)
    status = found_in(WAYS[way](sandbox))
    none = "0" * 16
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {none}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    assert "0" not in [*status["Gid"].split(), *status["Groups"].split()]
