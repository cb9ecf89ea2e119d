"""OpenSandbox's MCP server, called through the official MCP client, with the service as its sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import httpx
import pytest

from tests.clients.dialogue import Dialogue, dialogue
from tests.clients.environments import python_environment
from tests.inside import Inside

CALLS = Path(__file__).parent / "mcp_calls.py"


@pytest.fixture(scope="session")
def tools(domain: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dialogue]:
    """The tools of the server, ready to be called."""
    programs = python_environment("clients-mcp")
    argv = [str(programs / "python"), str(CALLS), str(programs / "opensandbox-mcp"), domain]
    with dialogue(tmp_path_factory.mktemp("mcp"), *argv) as talk:
        assert {"sandbox_create", "command_run", "command_interrupt"} <= set(talk.hear())
        yield talk


@pytest.fixture(scope="session")
def sandbox_id(tools: Dialogue) -> Iterator[str]:
    """A sandbox made by the server."""
    made = tools.ask("sandbox_create", {"image": "any"})
    yield made["sandbox_id"]
    tools.ask("sandbox_kill", {"sandbox_id": made["sandbox_id"]})


def run(tools: Dialogue, sandbox_id: str, command: str, **given: Any) -> Any:
    """The result of command_run."""
    return tools.ask("command_run", {"sandbox_id": sandbox_id, "command": command, **given})


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """What was printed, line by line."""
    return [message["text"] for message in messages]


def test_the_sandbox_is_healthy(tools: Dialogue, sandbox_id: str) -> None:
    assert tools.ask("sandbox_healthcheck", {"sandbox_id": sandbox_id})["healthy"] is True


def test_a_command_that_succeeds(tools: Dialogue, sandbox_id: str) -> None:
    found = run(tools, sandbox_id, "echo out; echo; echo err >&2; echo ü")
    assert texts(found["logs"]["stdout"]) == ["out", "\n", "ü"]
    assert texts(found["logs"]["stderr"]) == ["err"]
    assert (found["exit_code"], found["error"]) == (0, None)


def test_a_command_that_fails(tools: Dialogue, sandbox_id: str) -> None:
    found = run(tools, sandbox_id, "echo before; exit 3")
    assert texts(found["logs"]["stdout"]) == ["before"]
    assert (found["exit_code"], found["error"]["name"], found["error"]["value"]) == (3, "CommandExecError", "3")


def test_in_a_folder(tools: Dialogue, sandbox_id: str) -> None:
    assert texts(run(tools, sandbox_id, "pwd", working_directory="/tmp")["logs"]["stdout"]) == ["/tmp"]
    refused = run(tools, sandbox_id, "pwd", working_directory="/no/such/folder")
    assert refused == {"error": "Error executing tool command_run"}


def test_one_in_the_background_is_interrupted(tools: Dialogue, sandbox_id: str) -> None:
    line = "trap 'touch /tmp/ended; exit' TERM; touch /tmp/begun; while :; do sleep 0.02; done"
    command_id = run(tools, sandbox_id, line, background=True)["id"]
    run(tools, sandbox_id, "until [ -e /tmp/begun ]; do sleep 0.02; done")
    tools.ask("command_interrupt", {"sandbox_id": sandbox_id, "execution_id": command_id})
    assert run(tools, sandbox_id, "test -e /tmp/ended")["exit_code"] == 0
    again = tools.ask("command_interrupt", {"sandbox_id": sandbox_id, "execution_id": command_id})
    # The server keeps the reason to itself.
    assert again == {"error": "Error executing tool command_interrupt"}


def test_a_file_s_life(tools: Dialogue, sandbox_id: str, client: httpx.Client) -> None:
    inside, folder = Inside(client, sandbox_id), PurePosixPath("/workspace/life")

    def ask(tool: str, **given: Any) -> Any:
        return tools.ask(tool, {"sandbox_id": sandbox_id, **given})

    old, new = str(folder / "below" / "one ü.txt"), str(folder / "moved" / "two.txt")
    ask("file_create_directories", entries=[{"path": str(folder / "below"), "mode": 700}])
    assert inside.mode(f"{folder}/below") == 0o700
    ask("file_write", path=old, content="one\nü\n", mode=640)
    assert inside.read(old) == "one\nü\n".encode()
    assert inside.mode(old) == 0o640
    ask("file_replace_contents", entries=[{"path": old, "old_content": "one", "new_content": "two"}])
    ask("file_move", entries=[{"source": old, "destination": new}])
    assert ask("file_read", path=new)["content"] == "two\nü\n"
    found = ask("file_search", path=str(folder), pattern="*.txt")
    assert [entry["path"] for entry in found["result"]] == [new]
    ask("file_delete", paths=[new])
    ask("file_delete_directories", paths=[str(folder / "moved")])
    assert inside.names(str(folder)) == ["below"]
    assert ask("file_read", path=new) == {"error": "Error executing tool file_read"}
